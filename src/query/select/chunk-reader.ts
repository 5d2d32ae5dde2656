import { CounterTotal } from '#/downsample/counter.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { divideHistogram } from '#/model/histogram.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { AggregateChunk, EncodedChunk } from '#/storeapi/store.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import type { AggregateChoice } from '../aggregates.ts';
import { resolutionOf } from './resolution.ts';
import type { ChunkPart } from './seams.ts';
import { spreadTotals, spreadWindows, spreadingFor } from './spread.ts';
import type { Spreading } from './spread.ts';
import type { TimeRange } from './time-range.ts';

/** Told of a chunk that cannot be read: it throws, or the chunk is left out. */
export type OnDamage = (chunk: AggregateChunk, thrown: CorruptionError) => void;

export interface ChunkReaderOptions {
  readonly choice: AggregateChoice;
  /**
   * How far back the query sees at an instant, in milliseconds: its range or its lookback. Windows
   * that are longer than half of it are spread out; Infinity leaves all as they are.
   */
  readonly rangeMs: number;
  readonly onDamage: OnDamage;
}

/** Reads chunks that follow each other. Its buffers are reused for chunk after chunk. */
export class ChunkReader {
  readonly #choice: AggregateChoice;
  readonly #rangeMs: number;
  readonly #onDamage: OnDamage;
  readonly #windows = new SampleBuffer();
  readonly #first = new SampleBuffer();
  readonly #second = new SampleBuffer();

  constructor({ choice, rangeMs, onDamage }: ChunkReaderOptions) {
    this.#choice = choice;
    this.#rangeMs = rangeMs;
    this.#onDamage = onDamage;
  }

  /**
   * Appends the samples of `[mint, maxt]`: of each chunk the chosen column or the raw samples. Where
   * chunks overlap after all, the earlier one's samples are kept. A chunk that is damaged or lacks
   * the column goes to `onDamage`, and none of its samples are taken.
   */
  readSamples(chunks: readonly ChunkPart[], { mint, maxt }: TimeRange, into: SampleBuffer): void {
    for (const chunk of chunks) {
      const spreading = spreadingOf(chunk, this.#rangeMs);
      // The window that stands for the first samples may begin before the chunk's first time.
      if (chunk.maxt < mint || chunk.mint - (spreading?.resolutionMs ?? 0) > maxt) continue;
      const range = cut(chunk, { mint: Math.max(mint, lastTime(into) + 1), maxt });
      const start = into.length;
      try {
        if (spreading === undefined) this.#read(chunk, range, into);
        else this.#readSpread(chunk, spreading, range, into);
        checkOrder(into, start);
      } catch (thrown) {
        this.#report(chunk, thrown);
        into.startTimes?.fill(0, start, into.length);
        into.length = start;
      }
    }
  }

  /**
   * Appends a counter's running total over `[mint, maxt]`, resets made up for, from the first sample
   * of `chunks` on. Where resolutions meet, windows are spread out as well: a rate is extrapolated by
   * the mean distance of samples, which must not differ much between one end and the other.
   */
  readTotals(chunks: readonly ChunkPart[], range: TimeRange, into: SampleBuffer): void {
    const counter = new CounterTotal();
    const totals = this.#windows;
    totals.clear();
    const rangeMs = this.#rangeMs;
    const isPlain = rangeMs === Number.POSITIVE_INFINITY || areAlike(chunks);
    const seenMs = isPlain ? rangeMs : Math.min(rangeMs, SEAM_RANGE_MS);
    for (const chunk of chunks) {
      const spreading = spreadingOf(chunk, seenMs);
      this.#keepLast(totals);
      try {
        const part = chunk.counter ?? chunk.raw;
        if (part === undefined) throw new CorruptionError('no valid chunk found');
        const maxt = range.maxt + (spreading?.resolutionMs ?? 0);
        const samples = decoded(part, cut(chunk, { mint: MIN_TIME, maxt }), this.#first);
        const known = totals.length;
        appendTotals(samples, counter, totals);
        if (spreading === undefined) pushWithin(totals, known, range, into);
        else spreadTotals(totals, known, spreading, range, into);
      } catch (thrown) {
        this.#report(chunk, thrown);
      }
    }
  }

  /** Leaves the newest total alone in the buffer: the next chunk goes on from it. */
  #keepLast(totals: SampleBuffer): void {
    const last = this.#second;
    last.clear();
    if (totals.length > 0) last.pushFrom(totals, totals.length - 1);
    totals.clear();
    if (last.length > 0) totals.pushFrom(last, 0);
  }

  #readSpread(chunk: ChunkPart, spreading: Spreading, range: TimeRange, into: SampleBuffer): void {
    const windows = this.#windows;
    windows.clear();
    // A window that ends behind the range may begin in it.
    const maxt = Math.min(MAX_TIME, range.maxt + spreading.resolutionMs);
    this.#read(chunk, cut(chunk, { mint: range.mint, maxt }), windows);
    checkOrder(windows, 0);
    const addsUp = this.#choice === 'sum' || this.#choice === 'count';
    spreadWindows(windows, spreading, addsUp, range, into);
  }

  #read(chunk: ChunkPart, range: TimeRange, into: SampleBuffer): void {
    const choice = this.#choice;
    const part = choice === 'average' ? chunk.raw : (chunk[choice] ?? chunk.raw);
    const start = into.length;
    if (part !== undefined) decodeChunk(part, range.mint, range.maxt, into);
    else if (choice === 'average') this.#readAverages(chunk, range, into);
    else throw new CorruptionError('no valid chunk found');
    if (choice === 'count' && chunk.raw === undefined) {
      for (let i = start; i < into.length; i++) into.setCount(i, into.values[i]!);
    }
  }

  #readAverages({ sum, count }: AggregateChunk, range: TimeRange, into: SampleBuffer): void {
    if (sum === undefined || count === undefined) throw new CorruptionError('no valid chunk found');
    const sums = decoded(sum, range, this.#first);
    const counts = decoded(count, range, this.#second);
    if (sums.length !== counts.length) {
      throw new CorruptionError('sum and count iterator not aligned');
    }
    for (let i = 0; i < sums.length; i++) {
      const time = sums.times[i]!;
      if (time !== counts.times[i]) {
        throw new CorruptionError('sum and count timestamps not aligned');
      }
      const histogram = sums.histograms?.[i];
      const scrapes = counts.values[i]!;
      if (histogram === undefined) into.pushFloat(time, sums.values[i]! / scrapes);
      else into.pushHistogram(time, divideHistogram(histogram, scrapes));
      into.setCount(into.length - 1, scrapes);
    }
  }

  #report(chunk: AggregateChunk, thrown: unknown): void {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    this.#onDamage(chunk, thrown);
  }
}

/** What ranges see of windows where these lie beside finer data. */
const SEAM_RANGE_MS = 120_000;

function spreadingOf(chunk: ChunkPart, rangeMs: number): Spreading | undefined {
  if (chunk.raw !== undefined || rangeMs === Number.POSITIVE_INFINITY) return undefined;
  return spreadingFor(resolutionOf(chunk), rangeMs);
}

function areAlike(chunks: readonly ChunkPart[]): boolean {
  return new Set(chunks.map(resolutionOf)).size === 1;
}

function cut({ isCut, mint, maxt }: ChunkPart, range: TimeRange): TimeRange {
  if (isCut === undefined) return range;
  return { mint: Math.max(range.mint, mint), maxt: Math.min(range.maxt, maxt) };
}

/** −Infinity for an empty buffer. */
function lastTime({ times, length }: SampleBuffer): number {
  return length === 0 ? Number.NEGATIVE_INFINITY : times[length - 1]!;
}

/** Chunks come from outside; everything behind this point relies on their order. */
function checkOrder({ times, length }: SampleBuffer, start: number): void {
  for (let i = Math.max(1, start); i < length; i++) {
    if (times[i]! > times[i - 1]!) continue;
    throw new CorruptionError(
      `chunk has a sample at ${times[i]} behind one at ${times[i - 1]}: times must increase`,
    );
  }
}

function decoded(part: EncodedChunk, range: TimeRange, into: SampleBuffer): SampleBuffer {
  into.clear();
  decodeChunk(part, range.mint, range.maxt, into);
  return into;
}

/** Appends the running total at each sample; histograms stay as they are. */
function appendTotals(samples: SampleBuffer, counter: CounterTotal, into: SampleBuffer): void {
  for (let i = 0; i < samples.length; i++) {
    const time = samples.times[i]!;
    if (samples.histograms?.[i] !== undefined) {
      if (counter.skipTo(time)) into.pushFrom(samples, i);
    } else if (counter.add(time, samples.values[i]!)) {
      into.pushFloat(time, counter.total);
    }
  }
}

function pushWithin(
  samples: SampleBuffer,
  from: number,
  { mint, maxt }: TimeRange,
  into: SampleBuffer,
): void {
  for (let i = from; i < samples.length; i++) {
    if (samples.times[i]! >= mint && samples.times[i]! <= maxt) into.pushFrom(samples, i);
  }
}
