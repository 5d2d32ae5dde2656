import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { BUCKETS, COUNT, HistogramRows, SUM, ZERO_COUNT } from '../histogram-rows.ts';
import type { HistogramGroup } from '../histogram-rows.ts';
import { BitReader } from './bit-reader.ts';
import { countBuckets, HistogramFlag, readLayout } from './histogram-layout.ts';
import type { HistogramLayout } from './histogram-layout.ts';
import { MAX_SCHEMA, reduceSpans } from './reduce-schema.ts';
import { StartTimeDecoder } from './start-times.ts';
import { XorColumnReader } from './xor-column.ts';

const HEADER_BYTES = 3;

/** Which of the four histogram chunks it is. */
export interface HistogramForm {
  /** Doubles instead of integers (encodings 3 and 6). */
  readonly float: boolean;
  /** With start timestamps (encodings 5 and 6). */
  readonly startTimes: boolean;
}

/**
 * Appends the histograms of `[mint, maxt]` to `into`, integers as floats, and stops at the first
 * later one.
 * @throws CorruptionError as `decodeHistogramRows`.
 */
export function decodeHistograms(
  data: Uint8Array,
  form: HistogramForm,
  range: { readonly mint: number; readonly maxt: number },
  into: SampleBuffer,
): void {
  rows.clear();
  decodeHistogramRows(data, form, range.maxt, rows);
  for (const group of rows.groups) {
    for (let row = group.from; row < group.to; row++) {
      const time = rows.times[row]!;
      if (time < range.mint) continue;
      into.pushHistogram(time, rows.histogramAt(group, row));
      into.setStartTime(into.length - 1, rows.startTimes?.[row] ?? 0);
    }
  }
}

const rows = new HistogramRows();

/**
 * Appends the histograms of a chunk up to `maxt` as rows, and stops at the first later one. Counts of
 * 2^53 and more are refused in integer chunks.
 *
 *     header <3 bytes> | layout | (time, count, zero count, sum, buckets, start time) per sample
 *
 * The header is `count <2 bytes> | flag <1 byte>`, with start timestamps `flag <2 bits> | count
 * <14 bits> | start time header <1 byte>`. A stale sample has no buckets.
 * Format: tsdb/chunkenc/{histogram,float_histogram,histogram_st}.go in Prometheus.
 * @throws CorruptionError if the data ends before the stated number of samples or makes no sense.
 */
export function decodeHistogramRows(
  data: Uint8Array,
  form: HistogramForm,
  maxt: number,
  into: HistogramRows,
): void {
  const header = readHistogramHeader(data, form);
  if (header.count === 0) return;
  const reader = new BitReader(data, HEADER_BYTES);
  const stored = readLayout(reader);
  const shape = shapeOf(stored);
  const columns = form.float ? new FloatColumns(stored) : new IntegerColumns(stored);
  const startTimes = new StartTimeDecoder(header.startTimes);
  let group: HistogramGroup | undefined;
  let time = 0;
  let delta = 0;
  for (let i = 0; i < header.count; i++) {
    const previous = time;
    if (i === 0) {
      time = reader.varbitInt();
    } else {
      delta += reader.varbitInt();
      time += delta;
    }
    const stale = columns.read(reader, i === 0);
    const startTime = form.startTimes ? startTimes.read(reader, i, time, previous) : 0;
    if (time > maxt) return;
    if (stale) {
      into.addStale(time);
    } else {
      if (group === undefined || group !== into.groups.at(-1)) {
        group = into.beginGroup(shape.layout, header.flag, i === 0);
      }
      columns.write(into, into.addRow(group, time), shape.target);
    }
    if (form.startTimes) into.setStartTime(into.length - 1, startTime);
  }
}

/** What all samples of a chunk share, as in `decodeHistogramRows`; `undefined` of an empty chunk. */
export function readHistogramGroup(
  data: Uint8Array,
  form: HistogramForm,
): Pick<HistogramGroup, 'layout' | 'flag'> | undefined {
  const { count, flag } = readHistogramHeader(data, form);
  if (count === 0) return undefined;
  return { layout: shapeOf(readLayout(new BitReader(data, HEADER_BYTES))).layout, flag };
}

export function readHistogramHeader(
  data: Uint8Array,
  form: HistogramForm,
): { readonly count: number; readonly flag: HistogramFlag; readonly startTimes: number } {
  const reader = new BitReader(data, 0);
  if (!form.startTimes) {
    return { count: reader.bits(16), flag: flagOf(reader.bits(8)), startTimes: 0 };
  }
  return { flag: flagOf(reader.bits(2) << 6), count: reader.bits(14), startTimes: reader.bits(8) };
}

function flagOf(byte: number): HistogramFlag {
  const flags = [HistogramFlag.Unknown, HistogramFlag.NotReset, HistogramFlag.Reset];
  return flags[byte >>> 6] ?? HistogramFlag.Gauge;
}

/** How rows look: buckets merge if the chunk's schema is finer than ours. */
interface Shape {
  readonly layout: HistogramLayout;
  /** To which bucket of a row each bucket of the chunk counts; `undefined`: to the same. */
  readonly target: Int32Array | undefined;
}

function shapeOf(layout: HistogramLayout): Shape {
  const steps = layout.schema - MAX_SCHEMA;
  if (steps <= 0) return { layout, target: undefined };
  const positive = reduceSpans(layout.positiveSpans, steps);
  const negative = reduceSpans(layout.negativeSpans, steps);
  const positives = countBuckets(positive.spans);
  return {
    layout: {
      ...layout,
      schema: MAX_SCHEMA,
      positiveSpans: positive.spans,
      negativeSpans: negative.spans,
    },
    target: Int32Array.of(
      ...positive.target,
      ...negative.target.map((bucket) => positives + bucket),
    ),
  };
}

/** The columns of a histogram chunk, advanced by one sample a call. */
interface Columns {
  /** @returns whether the sample is stale: then nothing else of it counts. */
  read(reader: BitReader, first: boolean): boolean;
  /** Writes the sample that was read as the row at `at`. */
  write(into: HistogramRows, at: number, target: Int32Array | undefined): void;
}

class FloatColumns implements Columns {
  readonly #columns: readonly XorColumnReader[];

  constructor(layout: HistogramLayout) {
    const buckets = countBuckets(layout.positiveSpans) + countBuckets(layout.negativeSpans);
    this.#columns = Array.from({ length: BUCKETS + buckets }, () => new XorColumnReader());
  }

  read(reader: BitReader, first: boolean): boolean {
    const columns = this.#columns;
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i]!;
      if (first) column.readFirst(reader);
      else column.read(reader);
      if (i === SUM && column.isStale) return true;
    }
    return false;
  }

  write({ values, halves }: HistogramRows, at: number, target: Int32Array | undefined): void {
    const columns = this.#columns;
    const same = target === undefined ? columns.length : BUCKETS;
    for (let i = 0; i < same; i++) {
      halves[2 * (at + i)] = columns[i]!.low;
      halves[2 * (at + i) + 1] = columns[i]!.high;
    }
    if (target === undefined) return;
    const start = at + BUCKETS;
    clearTargets(values, start, target);
    for (let i = 0; i < target.length; i++) {
      values[start + target[i]!]! += columns[BUCKETS + i]!.toNumber();
    }
  }
}

class IntegerColumns implements Columns {
  readonly #positives: number;
  readonly #sum = new XorColumnReader();
  #count = 0;
  #zeroCount = 0;
  #countDelta = 0;
  #zeroCountDelta = 0;
  /** Bucket i minus bucket i - 1 of the same sign, first the positive ones, and its last change. */
  readonly #steps: Float64Array;
  readonly #changes: Float64Array;
  /** What a row has of them. */
  readonly #codes: Float64Array;

  constructor(layout: HistogramLayout) {
    this.#positives = countBuckets(layout.positiveSpans);
    this.#steps = new Float64Array(this.#positives + countBuckets(layout.negativeSpans));
    this.#changes = new Float64Array(this.#steps.length);
    this.#codes = new Float64Array(this.#steps.length);
  }

  read(reader: BitReader, first: boolean): boolean {
    if (first) {
      this.#count = reader.varbitUint();
      this.#zeroCount = reader.varbitUint();
      this.#sum.readFirst(reader);
    } else {
      this.#countDelta += reader.varbitInt();
      this.#count += this.#countDelta;
      this.#zeroCountDelta += reader.varbitInt();
      this.#zeroCount += this.#zeroCountDelta;
      this.#sum.read(reader);
    }
    if (this.#sum.isStale) return true;
    if (first) {
      reader.varbitInts(this.#steps);
      return false;
    }
    reader.varbitInts(this.#codes);
    const steps = this.#steps;
    const changes = this.#changes;
    const codes = this.#codes;
    for (let i = 0; i < steps.length; i++) {
      changes[i]! += codes[i]!;
      steps[i]! += changes[i]!;
    }
    return false;
  }

  write({ values, halves }: HistogramRows, at: number, target: Int32Array | undefined): void {
    const steps = this.#steps;
    values[at + COUNT] = this.#count;
    values[at + ZERO_COUNT] = this.#zeroCount;
    halves[2 * (at + SUM)] = this.#sum.low;
    halves[2 * (at + SUM) + 1] = this.#sum.high;
    const start = at + BUCKETS;
    if (target !== undefined) clearTargets(values, start, target);
    let absolute = 0;
    for (let i = 0; i < steps.length; i++) {
      absolute = (i === this.#positives ? 0 : absolute) + steps[i]!;
      if (target === undefined) values[start + i] = absolute;
      else values[start + target[i]!]! += absolute;
    }
  }
}

function clearTargets(values: Float64Array, start: number, target: Int32Array): void {
  for (let i = 0; i < target.length; i++) values[start + target[i]!] = 0;
}
