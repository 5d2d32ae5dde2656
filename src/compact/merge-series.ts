import { mergeReplicas } from '#/dedup/dedup.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { areEqualChunks, ChunkEncoding, decodeChunk, isHistogramEncoding } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { encodeSamples, SAMPLES_PER_CHUNK, XorEncoder } from '#/tsdb/chunk-encoder.ts';
import type { Interval } from '#/tsdb/tombstones.ts';

/** The chunks that one block has of a series. */
export interface SeriesPart {
  /** In the order of the index, which is by time unless the block is damaged. */
  readonly chunks: readonly TimedChunk[];
  /** Ranges whose samples must go, in time order, apart from each other. */
  readonly deleted: readonly Interval[];
  /** The same number for all blocks of one replica. Default: each block is one. */
  readonly replica?: number;
}

interface PlacedChunk {
  readonly chunk: TimedChunk;
  readonly part: number;
}

/**
 * Makes one sequence of chunks of what several blocks have of a series. Chunks that overlap no other
 * stay as they are, byte for byte; those that do are decoded, their samples merged by `algorithm` (the
 * blocks being the replicas) and encoded anew, 120 samples a chunk. A chunk that another block
 * has too counts once. Deleted samples are left out. Who follows one replica must know what it has
 * before and after: `sticky` takes all chunks of a series together as soon as two of them overlap.
 * Rules: `compactChunkIterator` in storage/merge.go of Prometheus.
 */
export class SeriesMerger {
  readonly #algorithm: DedupAlgorithm;
  /** Samples of replicas, in memory that is used again for the next series. */
  readonly #buffers: SampleBuffer[] = [];
  #used = 0;
  /** Holds the chunks of the series at hand. */
  readonly #encoder = new XorEncoder();

  constructor(algorithm: DedupAlgorithm) {
    this.#algorithm = algorithm;
  }

  /** Takes the memory of all chunks that were made so far for the next series. */
  startSeries(): void {
    this.#encoder.clear();
  }

  /** @throws CorruptionError if a chunk is damaged, or downsampled chunks overlap. */
  merge(parts: readonly SeriesPart[]): readonly TimedChunk[] {
    if (areInRow(parts)) {
      return parts.length === 1 ? parts[0]!.chunks : parts.flatMap(({ chunks }) => chunks);
    }
    const placed = parts.flatMap(({ chunks }, part) => chunks.map((chunk) => ({ chunk, part })));
    placed.sort((a, b) => a.chunk.mint - b.chunk.mint || a.chunk.maxt - b.chunk.maxt);
    const merged: TimedChunk[] = [];
    const runs = runsOf(placed);
    const isWhole = this.#algorithm === 'sticky' && runs.length < placed.length;
    for (const [start, end] of isWhole ? [[0, placed.length] as const] : runs) {
      this.#appendRun(withoutCopies(placed, start, end), parts, merged);
    }
    return merged;
  }

  /** Appends what is left of chunks that are merged together. */
  #appendRun(
    run: readonly PlacedChunk[],
    parts: readonly SeriesPart[],
    merged: TimedChunk[],
  ): void {
    this.#used = 0;
    const first = run[0]!;
    if (run.length === 1) {
      this.#appendWithout(parts[first.part]!.deleted, first.chunk, merged);
      return;
    }
    const aggregate = run.find(({ chunk }) => chunk.encoding === ChunkEncoding.Aggregate);
    if (aggregate !== undefined) {
      const { mint, maxt } = aggregate.chunk;
      throw new CorruptionError(
        `a downsampled chunk of [${mint}, ${maxt}] overlaps another: downsampled blocks cannot be merged vertically`,
      );
    }
    const algorithm = this.#algorithm;
    const samples = this.#buffer();
    // As upstream: the chunk that begins first comes last, which decides between equal timestamps.
    const inPieces = algorithm === 'penalty' && run.length <= MAX_PIECES;
    const replicas =
      algorithm === 'sticky'
        ? this.#samplesOf(run, parts, (part) => parts[part]!.replica ?? -1 - part)
        : this.#samplesOf(run, parts, inPieces ? undefined : (part) => part);
    const inOrderOfMerging =
      algorithm === 'chain' ? [...replicas.slice(1), replicas[0]!] : [...replicas];
    mergeReplicas(algorithm, inOrderOfMerging, { isCounter: false }, samples);
    const floatHistograms = run.some(({ chunk }) => isFloatHistogram(chunk.encoding));
    merged.push(...this.#encoded(samples, SAMPLES_PER_CHUNK, floatHistograms));
  }

  /** The chunk without the deleted ranges: as it is, encoded anew, or not at all. */
  #appendWithout(deleted: readonly Interval[], chunk: TimedChunk, merged: TimedChunk[]): void {
    const touching = deleted.filter(({ mint, maxt }) => mint <= chunk.maxt && maxt >= chunk.mint);
    if (touching.length === 0) {
      merged.push(chunk);
      return;
    }
    const covers = touching.some(({ mint, maxt }) => mint <= chunk.mint && maxt >= chunk.maxt);
    if (covers) return;
    // A window of a downsampled chunk holds samples from before its time: it goes as a whole or not.
    if (chunk.encoding === ChunkEncoding.Aggregate) {
      merged.push(chunk);
      return;
    }
    const samples = this.#buffer();
    decodeKept(chunk, touching, samples);
    const floatHistograms = isFloatHistogram(chunk.encoding);
    merged.push(...this.#encoded(samples, 0xffff, floatHistograms));
  }

  #encoded(
    samples: SampleBuffer,
    samplesPerChunk: number,
    floatHistograms: boolean,
  ): readonly TimedChunk[] {
    const options = { samplesPerChunk, into: this.#encoder };
    return encodeSamples(samples, floatHistograms ? { ...options, floatHistograms } : options);
  }

  /**
   * The samples of each owner of chunks, in the order in which their first chunks begin; or, without
   * owners, those of each chunk.
   */
  #samplesOf(
    run: readonly PlacedChunk[],
    parts: readonly SeriesPart[],
    ownerOf: ((part: number) => number) | undefined,
  ): readonly SampleBuffer[] {
    const lanes: { readonly owner: number; maxt: number; readonly samples: SampleBuffer }[] = [];
    for (const { chunk, part } of run) {
      const owner = ownerOf?.(part) ?? 0;
      // A damaged block may have chunks that overlap among themselves; they go side by side.
      let lane = ownerOf && lanes.find((one) => one.owner === owner && one.maxt < chunk.mint);
      if (lane === undefined) {
        lane = { owner, maxt: chunk.maxt, samples: this.#buffer() };
        lanes.push(lane);
      }
      lane.maxt = chunk.maxt;
      decodeKept(chunk, parts[part]!.deleted, lane.samples);
    }
    return lanes.map(({ samples }) => samples);
  }

  /** An empty one, until the next run. */
  #buffer(): SampleBuffer {
    const buffer = (this.#buffers[this.#used++] ??= new SampleBuffer(2 * SAMPLES_PER_CHUNK));
    buffer.clear();
    return buffer;
  }
}

/** Chunks `[start, end)` that overlap, each with one before it. */
function runsOf(placed: readonly PlacedChunk[]): (readonly [start: number, end: number])[] {
  const runs: [number, number][] = [];
  for (let start = 0; start < placed.length;) {
    let end = start + 1;
    let { maxt } = placed[start]!.chunk;
    while (end < placed.length && placed[end]!.chunk.mint <= maxt) {
      maxt = Math.max(maxt, placed[end++]!.chunk.maxt);
    }
    runs.push([start, end]);
    start = end;
  }
  return runs;
}

/** Whether nothing has to be done but to put one behind the other, as with most series. */
function areInRow(parts: readonly SeriesPart[]): boolean {
  let last = Number.NEGATIVE_INFINITY;
  for (const { chunks, deleted } of parts) {
    if (deleted.length > 0) return false;
    for (const { mint, maxt } of chunks) {
      if (mint <= last) return false;
      last = maxt;
    }
  }
  return true;
}

/** Chunks `[start, end)` but for those that repeat the one before them. */
function withoutCopies(
  placed: readonly PlacedChunk[],
  start: number,
  end: number,
): readonly PlacedChunk[] {
  const kept = [placed[start]!];
  for (let i = start + 1; i < end; i++) {
    if (!areEqualChunks(placed[i]!.chunk, kept.at(-1)!.chunk)) kept.push(placed[i]!);
  }
  return kept;
}

/**
 * Thanos merges by penalty chunk by chunk, the merge of all before with the next, which costs the
 * square of their number; beyond this one a block's chunks are put together first. The results
 * differ in a sample here and there where a replica has a gap.
 */
const MAX_PIECES = 512;

function decodeKept(chunk: TimedChunk, deleted: readonly Interval[], into: SampleBuffer): void {
  let from = Number.NEGATIVE_INFINITY;
  for (const { mint, maxt } of deleted) {
    if (mint > chunk.maxt) break;
    if (mint > from) decodeChunk(chunk, from, mint - 1, into);
    from = Math.max(from, maxt + 1);
  }
  if (from <= chunk.maxt) decodeChunk(chunk, from, Number.POSITIVE_INFINITY, into);
}

function isFloatHistogram(encoding: number): boolean {
  return (
    isHistogramEncoding(encoding) &&
    encoding !== ChunkEncoding.Histogram &&
    encoding !== ChunkEncoding.HistogramSt
  );
}
