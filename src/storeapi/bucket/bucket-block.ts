import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { ChunkColumns } from '#/tsdb/index.ts';
import type { ShardFilter } from '../shard.ts';
import type { Aggregate, SeriesBatch, StoreSeries } from '../store.ts';
import { ChunkLoader } from './chunk-loader.ts';
import type { ChunkSpan } from './chunk-loader.ts';
import { IndexLoader } from './index-loader.ts';
import type { BlockSource } from './block-source.ts';
import type { BlockReading } from './losses.ts';

/** What a request wants of one block, its external labels and all-block matters settled. */
export interface BlockQuery {
  readonly mint: number;
  readonly maxt: number;
  /** Without those on external labels; may be empty, which selects every series. */
  readonly matchers: readonly Matcher[];
  readonly aggregates: readonly Aggregate[];
  readonly skipChunks: boolean;
  /** 0 for all. */
  readonly limit: number;
  /** Completes the labels of a series (see external-labels.ts). */
  readonly complete: (labels: readonly string[]) => Labels;
  readonly shard: ShardFilter;
}

/** A series found in the index: its labels as answered, and where its chunks stand in the columns. */
interface FoundSeries extends ChunkSpan {
  readonly labels: Labels;
}

/** What a look into the index gives: the series in label order, and the chunks of them all. */
interface Found {
  readonly series: readonly FoundSeries[];
  readonly chunks: ChunkColumns;
}

/** About how many bytes of chunks are in memory at once for one block of one request. */
const BATCH_BYTES = 256 * 1024;
const BATCH_SERIES = 5000;

/** One block in the bucket, read by range. Holds its index-header; everything else is read when asked for. */
export class BucketBlock {
  readonly meta: BlockMeta;
  readonly labels: Labels;
  readonly #index: IndexLoader;
  readonly #chunks: ChunkLoader;

  constructor(source: BlockSource) {
    this.meta = source.meta;
    this.labels = source.labels;
    this.#index = new IndexLoader(source);
    this.#chunks = new ChunkLoader(source);
  }

  get minTime(): number {
    return this.meta.minTime;
  }

  get maxTime(): number {
    return this.meta.maxTime;
  }

  get resolutionMs(): number {
    return this.meta.thanos?.downsample.resolution ?? 0;
  }

  /**
   * The block's series for a query in label order, in batches whose chunks fit in memory together.
   * Labels are found and sorted first, since completing them can change their order. What is lost
   * comes as warnings.
   */
  async *series(query: BlockQuery, reading: BlockReading): AsyncGenerator<SeriesBatch, void> {
    const found = await this.#find(query, reading);
    for (const batch of batches(found.series, query.skipChunks, this.#chunks.estimatedBytes)) {
      const series = await this.#load(batch, found.chunks, query, reading);
      yield { series, warnings: reading.losses.take() };
    }
    const warnings = reading.losses.takeLast();
    if (warnings.length > 0) yield { series: [], warnings };
  }

  /** Names of the labels that the block's matching series have, external ones left out. */
  async labelNames(query: BlockQuery, reading: BlockReading): Promise<string[]> {
    if (query.matchers.length === 0) return this.#index.labelNames(reading);
    const names = new Set<string>();
    const { series } = await this.#find(query, reading);
    for (const { labels } of series) {
      for (const { name } of labels) names.add(name);
    }
    return [...names];
  }

  /** The values of a label that is not external. */
  async labelValues(name: string, query: BlockQuery, reading: BlockReading): Promise<string[]> {
    if (query.matchers.length === 0) return this.#index.labelValues(name, reading);
    const values = new Set<string>();
    const { series } = await this.#find(query, reading);
    for (const { labels } of series) values.add(labels.get(name));
    values.delete('');
    return [...values];
  }

  async #find(query: BlockQuery, reading: BlockReading): Promise<Found> {
    const series: FoundSeries[] = [];
    const chunks = new ChunkColumns();
    await this.#index.forEachSeries(query.matchers, reading, (entry, symbols) => {
      const from = chunks.length;
      if (entry.appendChunksIn(query.mint, query.maxt, chunks) === 0) return true;
      const labels = query.complete(symbols());
      if (!query.shard(labels)) {
        chunks.length = from;
        return true;
      }
      reading.limiter.addSeries(1);
      series.push({ labels, from, to: chunks.length });
      return query.limit === 0 || series.length < query.limit;
    });
    return { series: series.sort((a, b) => compareLabels(a.labels, b.labels)), chunks };
  }

  async #load(
    found: readonly FoundSeries[],
    chunks: ChunkColumns,
    query: BlockQuery,
    reading: BlockReading,
  ): Promise<StoreSeries[]> {
    if (query.skipChunks) return found.map(({ labels }) => ({ labels, chunks: [] }));
    const loaded = await this.#chunks.load({ chunks, spans: found }, query.aggregates, reading);
    const series = found.map(({ labels }, i) => ({ labels, chunks: loaded[i]! }));
    // A series none of whose chunks could be read has nothing to show.
    return reading.losses.count === 0 ? series : series.filter((one) => one.chunks.length > 0);
  }
}

/** Cuts the series into batches of about `BATCH_BYTES` of chunks. */
function* batches(
  found: readonly FoundSeries[],
  skipChunks: boolean,
  chunkBytes: number,
): Generator<readonly FoundSeries[], void> {
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < found.length; i++) {
    bytes += skipChunks ? 0 : (found[i]!.to - found[i]!.from) * chunkBytes;
    if (bytes < BATCH_BYTES && i + 1 - from < BATCH_SERIES && i + 1 < found.length) continue;
    yield found.slice(from, i + 1);
    from = i + 1;
    bytes = 0;
  }
}
