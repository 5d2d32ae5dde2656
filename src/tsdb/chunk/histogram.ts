import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { staleNaN } from '#/model/stale.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { BitReader } from './bit-reader.ts';
import {
  countBuckets,
  emptyLayout,
  HistogramFlag,
  noValues,
  readLayout,
} from './histogram-layout.ts';
import type { HistogramLayout } from './histogram-layout.ts';
import { MAX_SCHEMA, reduceBuckets, reduceSpans } from './reduce-schema.ts';
import type { Reduction } from './reduce-schema.ts';
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
 * later one. Counts of 2^53 and more are refused in integer chunks.
 *
 *     header <3 bytes> | layout | (time, count, zero count, sum, buckets, start time) per sample
 *
 * The header is `count <2 bytes> | flag <1 byte>`, with start timestamps `flag <2 bits> | count
 * <14 bits> | start time header <1 byte>`. A stale sample has no buckets.
 * Format: tsdb/chunkenc/{histogram,float_histogram,histogram_st}.go in Prometheus.
 * @throws CorruptionError if the data ends before the stated number of samples or makes no sense.
 */
export function decodeHistograms(
  data: Uint8Array,
  form: HistogramForm,
  range: { readonly mint: number; readonly maxt: number },
  into: SampleBuffer,
): void {
  const header = readHistogramHeader(data, form);
  if (header.count === 0) return;
  const reader = new BitReader(data, HEADER_BYTES);
  const layout = readLayout(reader);
  const columns = form.float ? new FloatColumns(layout) : new IntegerColumns(layout);
  const shape = new Shape(layout);
  const startTimes = new StartTimeDecoder(header.startTimes);
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
    if (time > range.maxt) return;
    if (time < range.mint) continue;
    into.pushHistogram(
      time,
      stale ? staleHistogram() : shape.histogram(columns, hintOf(header.flag, i)),
    );
    into.setStartTime(into.length - 1, startTime);
  }
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

export function staleHistogram(): FloatHistogram {
  return {
    ...emptyLayout,
    counterReset: CounterReset.Unknown,
    zeroCount: 0,
    count: 0,
    sum: staleNaN(),
    positiveBuckets: noValues,
    negativeBuckets: noValues,
  };
}

function flagOf(byte: number): HistogramFlag {
  const flags = [HistogramFlag.Unknown, HistogramFlag.NotReset, HistogramFlag.Reset];
  return flags[byte >>> 6] ?? HistogramFlag.Gauge;
}

/** The chunk before may be missing, so the first sample's relation to it stays unknown. */
function hintOf(flag: number, index: number): CounterReset {
  if (flag === HistogramFlag.Gauge) return CounterReset.Gauge;
  return index > 0 ? CounterReset.No : CounterReset.Unknown;
}

/** The columns of a histogram chunk, advanced by one sample a call. */
interface Columns {
  readonly count: number;
  readonly zeroCount: number;
  readonly sum: number;
  readonly positive: Float64Array;
  readonly negative: Float64Array;
  /** @returns whether the sample is stale: then nothing else of it counts. */
  read(reader: BitReader, first: boolean): boolean;
}

class FloatColumns implements Columns {
  readonly positive: Float64Array;
  readonly negative: Float64Array;
  readonly #count = new XorColumnReader();
  readonly #zeroCount = new XorColumnReader();
  readonly #sum = new XorColumnReader();
  readonly #buckets: readonly XorColumnReader[];

  constructor(layout: HistogramLayout) {
    this.positive = new Float64Array(countBuckets(layout.positiveSpans));
    this.negative = new Float64Array(countBuckets(layout.negativeSpans));
    const length = this.positive.length + this.negative.length;
    this.#buckets = Array.from({ length }, () => new XorColumnReader());
  }

  get count(): number {
    return this.#count.toNumber();
  }

  get zeroCount(): number {
    return this.#zeroCount.toNumber();
  }

  get sum(): number {
    return this.#sum.toNumber();
  }

  read(reader: BitReader, first: boolean): boolean {
    for (const column of [this.#count, this.#zeroCount, this.#sum]) {
      if (first) column.readFirst(reader);
      else column.read(reader);
    }
    if (this.#sum.isStale) return true;
    const positives = this.positive.length;
    for (let i = 0; i < this.#buckets.length; i++) {
      const column = this.#buckets[i]!;
      if (first) column.readFirst(reader);
      else column.read(reader);
      if (i < positives) this.positive[i] = column.toNumber();
      else this.negative[i - positives] = column.toNumber();
    }
    return false;
  }
}

class IntegerColumns implements Columns {
  count = 0;
  zeroCount = 0;
  readonly positive: Float64Array;
  readonly negative: Float64Array;
  readonly #sum = new XorColumnReader();
  #countDelta = 0;
  #zeroCountDelta = 0;
  /** Bucket i minus bucket i - 1 of the same sign, first the positive ones, and its last change. */
  readonly #steps: Float64Array;
  readonly #changes: Float64Array;

  constructor(layout: HistogramLayout) {
    this.positive = new Float64Array(countBuckets(layout.positiveSpans));
    this.negative = new Float64Array(countBuckets(layout.negativeSpans));
    this.#steps = new Float64Array(this.positive.length + this.negative.length);
    this.#changes = new Float64Array(this.#steps.length);
  }

  get sum(): number {
    return this.#sum.toNumber();
  }

  read(reader: BitReader, first: boolean): boolean {
    if (first) {
      this.count = reader.varbitUint();
      this.zeroCount = reader.varbitUint();
      this.#sum.readFirst(reader);
    } else {
      this.#countDelta += reader.varbitInt();
      this.count += this.#countDelta;
      this.#zeroCountDelta += reader.varbitInt();
      this.zeroCount += this.#zeroCountDelta;
      this.#sum.read(reader);
    }
    if (this.#sum.isStale) return true;
    this.#readBuckets(reader, first, this.positive, 0);
    this.#readBuckets(reader, first, this.negative, this.positive.length);
    return false;
  }

  #readBuckets(reader: BitReader, first: boolean, into: Float64Array, from: number): void {
    let absolute = 0;
    for (let i = 0; i < into.length; i++) {
      const code = reader.varbitInt();
      if (first) {
        this.#steps[from + i] = code;
      } else {
        this.#changes[from + i]! += code;
        this.#steps[from + i]! += this.#changes[from + i]!;
      }
      absolute += this.#steps[from + i]!;
      into[i] = absolute;
    }
  }
}

/** Turns columns into values: copies the buckets, and merges them if the schema is finer than ours. */
class Shape {
  readonly #layout: HistogramLayout;
  readonly #positive: Reduction | undefined;
  readonly #negative: Reduction | undefined;

  constructor(layout: HistogramLayout) {
    const steps = layout.schema - MAX_SCHEMA;
    if (steps <= 0) {
      this.#layout = layout;
      return;
    }
    this.#positive = reduceSpans(layout.positiveSpans, steps);
    this.#negative = reduceSpans(layout.negativeSpans, steps);
    this.#layout = {
      ...layout,
      schema: MAX_SCHEMA,
      positiveSpans: this.#positive.spans,
      negativeSpans: this.#negative.spans,
    };
  }

  histogram(columns: Columns, counterReset: CounterReset): FloatHistogram {
    const { schema, zeroThreshold, positiveSpans, negativeSpans, customValues } = this.#layout;
    return {
      counterReset,
      schema,
      zeroThreshold,
      zeroCount: columns.zeroCount,
      count: columns.count,
      sum: columns.sum,
      positiveSpans,
      positiveBuckets: reduced(columns.positive, this.#positive),
      negativeSpans,
      negativeBuckets: reduced(columns.negative, this.#negative),
      customValues,
    };
  }
}

function reduced(buckets: Float64Array, reduction: Reduction | undefined): Float64Array {
  return reduction === undefined ? buckets.slice() : reduceBuckets(buckets, reduction);
}
