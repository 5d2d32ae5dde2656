import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { ChunkColumns } from '#/tsdb/index.ts';
import type { SeriesDeletion } from '#/tsdb/series-deletion.ts';
import type { Interval } from '#/tsdb/tombstones.ts';
import type { ShardFilter } from '../shard.ts';
import type { Aggregate, SeriesBatch, StoreSeries } from '../store.ts';
import { ChunkLoader } from './chunk-loader.ts';
import type { ChunkSpan } from './chunk-loader.ts';
import { DeletedSeries, dropDeleted, nothing } from './deleted-series.ts';
import { IndexLoader } from './index-loader.ts';
import { LabelOrder } from './label-order.ts';
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
  /** The names that completing may change, where a series has them already. */
  readonly completedNames: ReadonlySet<string>;
  readonly shard: ShardFilter;
  /** What somebody deleted of the block that is still in it; none as a rule. */
  readonly deletions: readonly SeriesDeletion[];
}

/** A series found in the index: its labels as answered, and where its chunks stand in the columns. */
interface FoundSeries extends ChunkSpan {
  readonly labels: Labels;
  /** Of no chunk all, but of some a part. */
  readonly deleted: readonly Interval[];
}

/** What a look into the index gives: series, and the chunks of them all. */
interface Found {
  readonly series: readonly FoundSeries[];
  readonly chunks: ChunkColumns;
}

/** About how many bytes of chunks are in memory at once for one block of one request. */
const BATCH_BYTES = 256 * 1024;
const BATCH_SERIES = 5000;

/** What reads one block. */
interface Loaders {
  readonly index: IndexLoader;
  readonly chunks: ChunkLoader;
  readonly deleted: DeletedSeries;
}

/**
 * One block in the bucket, read by range; everything is read when asked for. Of a hundred thousand of
 * them few are, so what reads one is made when it is first asked.
 */
export class BucketBlock {
  readonly meta: BlockMeta;
  readonly labels: Labels;
  readonly #open: (meta: BlockMeta, labels: Labels) => BlockSource;
  #loaders: Loaders | undefined;

  /** Blocks with equal labels, and all of a bucket, share what they are given. */
  constructor(
    meta: BlockMeta,
    labels: Labels,
    open: (meta: BlockMeta, labels: Labels) => BlockSource,
  ) {
    this.meta = meta;
    this.labels = labels;
    this.#open = open;
  }

  get #loading(): Loaders {
    if (this.#loaders === undefined) {
      const source = this.#open(this.meta, this.labels);
      const index = new IndexLoader(source);
      const chunks = new ChunkLoader(source);
      this.#loaders = { index, chunks, deleted: new DeletedSeries(index) };
    }
    return this.#loaders;
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
   * What is lost comes as warnings.
   */
  async *series(query: BlockQuery, reading: BlockReading): AsyncGenerator<SeriesBatch, void> {
    using _loaded = reading.limiter.hold(query.skipChunks ? 0 : 2 * BATCH_BYTES);
    for await (const found of this.#inOrder(query, reading)) {
      for (const batch of batches(
        found.series,
        query.skipChunks,
        this.#loading.chunks.estimatedBytes,
      )) {
        const series = await this.#load(batch, found.chunks, query, reading);
        yield { series, warnings: reading.losses.take() };
      }
    }
    const warnings = reading.losses.takeLast();
    if (warnings.length > 0) yield { series: [], warnings };
  }

  /** Names of the labels that the block's matching series have, external ones left out. */
  async labelNames(query: BlockQuery, reading: BlockReading): Promise<string[]> {
    if (query.matchers.length === 0) {
      const gone = await this.#loading.deleted.of(query.deletions, reading);
      return gone.length === 0
        ? this.#loading.index.labelNames(reading)
        : this.#loading.index.labelNamesWithout(gone, reading);
    }
    const names = new Set<string>();
    for await (const { series } of this.#find(query, reading)) {
      for (const { labels } of series) for (const { name } of labels) names.add(name);
    }
    return [...names];
  }

  /** The values of a label that is not external. */
  async labelValues(name: string, query: BlockQuery, reading: BlockReading): Promise<string[]> {
    if (query.matchers.length === 0) {
      const gone = await this.#loading.deleted.of(query.deletions, reading);
      return gone.length === 0
        ? this.#loading.index.labelValues(name, reading)
        : this.#loading.index.labelValuesWithout(name, gone, reading);
    }
    const values = new Set<string>();
    for await (const { series } of this.#find(query, reading)) {
      for (const { labels } of series) values.add(labels.get(name));
    }
    values.delete('');
    return [...values];
  }

  /**
   * What a query finds, in label order. Where completing labels changes those that a series has of its
   * own, their order can become any, so all of them have to be found before the first can leave.
   */
  async *#inOrder(query: BlockQuery, reading: BlockReading): AsyncGenerator<Found, void> {
    const ownNames = await this.#loading.index.labelNames(reading);
    if (ownNames.some((name) => query.completedNames.has(name))) {
      yield await this.#findAll(query, reading);
      return;
    }
    const order = new LabelOrder<FoundSeries>();
    let chunks = new ChunkColumns();
    for await (const found of this.#find(query, reading)) {
      const carried = chunks;
      chunks = found.chunks;
      order.replaceHeld((held) => ({ ...held, ...chunks.appendFrom(carried, held) }));
      yield { series: found.series.flatMap((one) => order.push(one)), chunks };
    }
    yield { series: order.rest(), chunks };
  }

  async #findAll(query: BlockQuery, reading: BlockReading): Promise<Found> {
    const all: FoundSeries[] = [];
    const chunks = new ChunkColumns();
    using held = reading.limiter.hold();
    for await (const { series, ...found } of this.#find(query, reading)) {
      held.add(series.reduce((sum, one) => sum + foundBytes(one), 0));
      for (const one of series) all.push({ ...one, ...chunks.appendFrom(found.chunks, one) });
    }
    return { series: all.sort((a, b) => compareLabels(a.labels, b.labels)), chunks };
  }

  /** In the order of the index, a part of it at a time. */
  async *#find(query: BlockQuery, reading: BlockReading): AsyncGenerator<Found, void> {
    let left = query.limit === 0 ? Number.POSITIVE_INFINITY : query.limit;
    using held = reading.limiter.hold();
    for await (const visitAll of this.#loading.index.batches(query.matchers, reading)) {
      const series: FoundSeries[] = [];
      const chunks = new ChunkColumns();
      const goesOn = visitAll((entry, symbols) => {
        const from = chunks.length;
        if (entry.appendChunksIn(query.mint, query.maxt, chunks) === 0) return true;
        const own = symbols();
        const deleted =
          query.deletions.length === 0
            ? nothing
            : dropDeleted(own, query.deletions, { chunks, from });
        if (chunks.length === from) return true;
        const labels = query.complete(own);
        if (!query.shard(labels)) {
          chunks.length = from;
          return true;
        }
        reading.limiter.addSeries(1);
        series.push({ labels, from, to: chunks.length, deleted });
        return --left > 0;
      });
      held.set(series.reduce((sum, one) => sum + foundBytes(one), 0));
      yield { series, chunks };
      if (!goesOn) return;
    }
  }

  async #load(
    found: readonly FoundSeries[],
    chunks: ChunkColumns,
    query: BlockQuery,
    reading: BlockReading,
  ): Promise<StoreSeries[]> {
    if (query.skipChunks) return found.map(({ labels }) => ({ labels, chunks: [] }));
    const loaded = await this.#loading.chunks.load(
      { chunks, spans: found },
      query.aggregates,
      reading,
    );
    const series = found.map(({ labels }, i) => ({ labels, chunks: loaded[i]! }));
    // A series none of whose chunks could be read has nothing to show.
    const isWhole = reading.losses.count === 0 && query.deletions.length === 0;
    return isWhole ? series : series.filter((one) => one.chunks.length > 0);
  }
}

/** About what a found series takes: its objects, its labels, which are its own, and its chunks' places. */
function foundBytes({ labels, from, to }: FoundSeries): number {
  return 150 + 100 * labels.size + 24 * (to - from);
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
