import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { anyChunkSampleCount } from '#/downsample/aggregate-chunk.ts';
import type { Disk } from '#/lib/disk.ts';
import { Heap } from '#/lib/heap.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BlockWriter } from '#/tsdb/block-writer.ts';
import type { BlockIdentity } from '#/tsdb/block-writer.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import type { SeriesChunks } from '#/tsdb/series-stream.ts';
import { joinIntervals } from '#/tsdb/tombstones.ts';
import type { Interval } from '#/tsdb/tombstones.ts';
import { mergeSeries } from './merge-series.ts';

export interface MergeRequest {
  /** By min time. */
  readonly blocks: readonly Block[];
  /** Of the block to be; samples outside its range are left out. */
  readonly identity: BlockIdentity;
  /** How samples of overlapping chunks become one series. */
  readonly algorithm: DedupAlgorithm;
  readonly disk: Disk;
  readonly directory: string;
  readonly signal?: AbortSignal;
  /** Told now and then how many samples were read. */
  readonly onProgress?: (samples: number) => void;
}

export interface MergeResult {
  /** `undefined` when no sample was left: then no block was written. */
  readonly meta: BlockMeta | undefined;
  /** Samples of all inputs, before deduplication and deletion. */
  readonly samplesRead: number;
  /** Those of them that are not in the new block: deleted ones, copies, and what replicas had twice. */
  readonly samplesDropped: number;
}

/**
 * Merges blocks into one, series by series in the order of their labels. Memory follows the symbols,
 * the series' numbers and the few series in flight; disk holds the inputs and the output.
 * @throws CorruptionError if an input is damaged.
 */
export async function mergeBlocks(request: MergeRequest): Promise<MergeResult> {
  const { blocks, identity, algorithm, disk, directory, signal, onProgress } = request;
  await using writer = await BlockWriter.open(identity, {
    disk,
    directory,
    symbols: mergedSymbols(blocks.map(({ index }) => index.symbols)),
    sampleCount: anyChunkSampleCount,
  });
  const outside = outsideOf(identity);
  let samplesRead = 0;
  let reported = 0;
  await using merged = new SeriesMerge(blocks, signal);
  for (;;) {
    const series = await merged.next();
    if (series.length === 0) break;
    const parts = series.map(({ chunks, deleted, blockEnd }) => {
      for (const chunk of chunks) samplesRead += anyChunkSampleCount(chunk);
      const own = withoutNextBlocks(chunks, blockEnd);
      return { chunks: own, deleted: withOutside(deleted, own, outside) };
    });
    await writer.addSeries(series[0]!.labels, mergeSeries(parts, algorithm));
    if (samplesRead - reported < PROGRESS_SAMPLES) continue;
    reported = samplesRead;
    onProgress?.(samplesRead);
  }
  onProgress?.(samplesRead);
  const samplesDropped = samplesRead - writer.sampleCount;
  if (writer.sampleCount === 0) return { meta: undefined, samplesRead, samplesDropped };
  return { meta: await writer.finish(), samplesRead, samplesDropped };
}

const PROGRESS_SAMPLES = 1_000_000;

function outsideOf({ minTime, maxTime }: BlockIdentity): readonly [Interval, Interval] {
  return [
    { mint: Number.NEGATIVE_INFINITY, maxt: minTime - 1 },
    { mint: maxTime, maxt: Number.POSITIVE_INFINITY },
  ];
}

/** Deleted ranges, and what lies outside of the block to be, if a chunk does. */
function withOutside(
  deleted: readonly Interval[],
  chunks: SeriesChunks['chunks'],
  [before, after]: readonly [Interval, Interval],
): readonly Interval[] {
  const passes = chunks.some(({ mint, maxt }) => mint <= before.maxt || maxt >= after.mint);
  return passes ? joinIntervals([before, ...deleted, after]) : deleted;
}

/**
 * Without chunks that begin right where their block ends, and pass it: an old Prometheus wrote them,
 * and the next block has their samples (https://github.com/prometheus/tsdb/issues/347).
 */
function withoutNextBlocks(
  chunks: SeriesChunks['chunks'],
  blockEnd: number,
): SeriesChunks['chunks'] {
  const last = chunks.at(-1);
  if (last === undefined || last.maxt <= blockEnd) return chunks;
  return chunks.filter(({ mint, maxt }) => mint < blockEnd || maxt <= blockEnd);
}

/** All symbols of the inputs in order, each once. */
export function* mergedSymbols(inputs: readonly Iterable<string>[]): Generator<string, void> {
  const heads = new Heap<{ text: string; readonly rest: Iterator<string> }>((a, b) =>
    compareUtf8(a.text, b.text),
  );
  for (const input of inputs) {
    const rest = input[Symbol.iterator]();
    const first = rest.next();
    if (first.done !== true) heads.push({ text: first.value, rest });
  }
  let last: string | undefined;
  for (let head = heads.top; head !== undefined; head = heads.top) {
    if (head.text !== last) yield head.text;
    last = head.text;
    const next = head.rest.next();
    if (next.done === true) heads.pop();
    else heads.replaceTop({ text: next.value, rest: head.rest });
  }
}

/** A block's series, one after the other, with its place among the inputs. */
interface Cursor {
  readonly order: number;
  readonly blockEnd: number;
  readonly batches: AsyncGenerator<readonly SeriesChunks[], void>;
  batch: readonly SeriesChunks[];
  at: number;
}

interface MergedPart extends SeriesChunks {
  /** Where the block ends that this is of. */
  readonly blockEnd: number;
}

/** Goes through several blocks at once, in the order of labels. */
class SeriesMerge implements AsyncDisposable {
  readonly #cursors: readonly Cursor[];
  /** Those with a series at hand; the one with the least labels on top, the earlier among equals. */
  readonly #heap = new Heap<Cursor>(
    (a, b) => compareLabels(a.batch[a.at]!.labels, b.batch[b.at]!.labels) || a.order - b.order,
  );
  #started = false;

  constructor(blocks: readonly Block[], signal: AbortSignal | undefined) {
    this.#cursors = blocks.map((block, order) => ({
      order,
      blockEnd: block.meta.maxTime,
      batches: streamSeries(block, signal),
      batch: [],
      at: -1,
    }));
  }

  /** What the inputs have of the next series, in their order; nothing at the end. */
  async next(): Promise<readonly MergedPart[]> {
    if (!this.#started) {
      this.#started = true;
      for (const cursor of this.#cursors) if (await advance(cursor)) this.#heap.push(cursor);
    }
    const found: MergedPart[] = [];
    for (let top = this.#heap.top; top !== undefined; top = this.#heap.top) {
      const series = top.batch[top.at]!;
      if (found.length > 0 && !series.labels.equals(found[0]!.labels)) break;
      const { labels, chunks, deleted } = series;
      found.push({ labels, chunks, deleted, blockEnd: top.blockEnd });
      const inBatch = ++top.at < top.batch.length;
      if (inBatch || (await advance(top))) this.#heap.replaceTop(top);
      else this.#heap.pop();
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { batches } of this.#cursors) await batches.return();
  }
}

/** To the first series of the next batch; `false` at the end. */
async function advance(cursor: Cursor): Promise<boolean> {
  for (;;) {
    const next = await cursor.batches.next();
    if (next.done === true) return false;
    if (next.value.length === 0) continue;
    cursor.batch = next.value;
    cursor.at = 0;
    return true;
  }
}
