import { openBlockIndex, segmentSizes } from '#/blocks/check-block.ts';
import { timePartition } from '#/blocks/filters.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import { METRIC_NAME } from '#/model/labels.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { placeOf } from '#/tsdb/chunk-segment.ts';
import type { IndexReader, SeriesEntry } from '#/tsdb/index.ts';
import { fetchBlocks } from './bucket-tool.ts';
import type { BucketTool } from './bucket-tool.ts';
import { printTable } from './print-table.ts';
import type { TableFormat } from './print-table.ts';

export interface AnalyzeConfig {
  /** Only these blocks; all when there are none. */
  readonly ids: readonly string[];
  readonly minTime: TimeOrDuration;
  readonly maxTime: TimeOrDuration;
  /** How many metrics and labels to show. */
  readonly limit: number;
  readonly output: TableFormat;
}

interface MetricUse {
  /** Counted once for each block. */
  series: number;
  chunks: number;
  /** Of its chunks in segment files. */
  bytes: number;
}

/** Of the block in which the label has most values. */
interface LabelUse {
  readonly values: number;
  /** Of the different values' texts. */
  readonly valueBytes: number;
  readonly series: number;
}

/**
 * Writes which metrics take most bytes and which labels have most values, from the indexes of the
 * blocks alone: chunks are not read, their sizes follow from their places.
 */
export async function analyzeBlocks(config: AnalyzeConfig, tool: BucketTool): Promise<number> {
  const { minTime, maxTime, ids, output, limit } = config;
  const { clock, signal } = tool;
  const partition = timePartition(
    () => minTime(clock.now()),
    () => maxTime(clock.now()),
  );
  const { metas } = await fetchBlocks(tool, [partition], signal);
  const asked = metas.filter(({ ulid }) => ids.length === 0 || ids.includes(ulid));
  const usage = new Usage();
  const progress = tool.progress('analyzing', asked.length);
  for (const meta of asked) {
    await usage.addBlock(meta, tool);
    progress.step(meta.ulid);
  }
  progress.end();
  tool.write(printTable(output, ['METRIC', 'SERIES', 'CHUNKS', 'BYTES'], usage.metrics(limit)));
  tool.write('\n');
  const columns = ['LABEL', 'VALUES', 'VALUE-BYTES', 'SERIES'];
  tool.write(printTable(output, columns, usage.labels(limit)));
  return 0;
}

class Usage {
  readonly #metrics = new Map<string, MetricUse>();
  readonly #labels = new Map<string, LabelUse>();

  async addBlock(meta: BlockMeta, { bucket, signal }: BucketTool): Promise<void> {
    const index = await openBlockIndex(bucket, meta.ulid, signal);
    const walk = new BlockWalk(index, await segmentSizes(bucket, meta.ulid, signal), (metric) =>
      this.#metric(metric),
    );
    await index.forEachSeries(
      await index.allPostings(signal),
      (entry) => walk.visit(entry),
      signal,
    );
    walk.end();
    for (const name of index.labelNames()) {
      const values = index.labelValues(name);
      const series = walk.seriesWith.get(name) ?? 0;
      const most = this.#labels.get(name) ?? { values: 0, series: 0 };
      const isMore = values.length - most.values || series - most.series;
      if (name === '' || isMore <= 0) continue;
      const valueBytes = values.reduce((sum, value) => sum + Buffer.byteLength(value), 0);
      this.#labels.set(name, { values: values.length, valueBytes, series });
    }
  }

  metrics(limit: number): string[][] {
    return [...this.#metrics]
      .sort(([, a], [, b]) => b.bytes - a.bytes)
      .slice(0, limit)
      .map(([name, { series, chunks, bytes }]) => [name, ...[series, chunks, bytes].map(String)]);
  }

  labels(limit: number): string[][] {
    return [...this.#labels]
      .sort(([, a], [, b]) => b.values - a.values)
      .slice(0, limit)
      .map(([name, { values, valueBytes, series }]) => [
        name,
        ...[values, valueBytes, series].map(String),
      ]);
  }

  #metric(name: string): MetricUse {
    return this.#metrics.getOrInsertComputed(name, () => ({ series: 0, chunks: 0, bytes: 0 }));
  }
}

/** Goes through the series of one block; a chunk ends where the next one of its segment begins. */
class BlockWalk {
  /** How many series have a label. */
  readonly seriesWith = new Map<string, number>();
  readonly #index: IndexReader;
  readonly #segments: readonly number[];
  readonly #metric: (name: string) => MetricUse;
  #last: { readonly ref: number; readonly use: MetricUse } | undefined;

  constructor(
    index: IndexReader,
    segments: readonly number[],
    metric: (name: string) => MetricUse,
  ) {
    this.#index = index;
    this.#segments = segments;
    this.#metric = metric;
  }

  visit(entry: SeriesEntry): void {
    let metric = '';
    for (let i = 0; i < 2 * entry.labelCount; i += 2) {
      const name = this.#index.symbols.lookup(entry.symbols[i]!);
      if (name === METRIC_NAME) metric = this.#index.symbols.lookup(entry.symbols[i + 1]!);
      this.seriesWith.set(name, (this.seriesWith.get(name) ?? 0) + 1);
    }
    const use = this.#metric(metric);
    use.series++;
    use.chunks += entry.chunkCount;
    for (let i = 0; i < entry.chunkCount; i++) {
      this.#endAt(entry.refs[i]!);
      this.#last = { ref: entry.refs[i]!, use };
    }
  }

  end(): void {
    this.#endAt(Infinity);
  }

  #endAt(next: number): void {
    if (this.#last === undefined) return;
    const { ref, use } = this.#last;
    const { segment, offset } = placeOf(ref);
    const isSame = next > ref && next !== Infinity && placeOf(next).segment === segment;
    const end = isSame ? placeOf(next).offset : (this.#segments[segment] ?? offset);
    // Chunks that are not in the order of their series have no size to tell.
    if (end > offset) use.bytes += end - offset;
  }
}
