import { assert } from '#/lib/errors.ts';
import { setStale } from '#/model/stale.ts';
import type { BitWriter } from './bit-writer.ts';
import { StartTimeEncoder } from './start-times.ts';
import type { HistogramForm } from './histogram.ts';
import { newXorColumn, writeFirst, writeXor } from './xor-column.ts';
import type { XorColumn } from './xor-column.ts';

/** One histogram with its buckets in the order of the chunk's layout; none if it is stale. */
export interface HistogramRow {
  readonly time: number;
  /** 0 for unknown, and wherever the chunk has none. */
  readonly startTime: number;
  readonly stale: boolean;
  readonly count: number;
  readonly zeroCount: number;
  readonly sum: number;
  readonly positive: Float64Array;
  readonly negative: Float64Array;
}

/** How many samples the header of a histogram chunk can count. */
export function mostHistograms(startTimes: boolean): number {
  return startTimes ? 0x3fff : 0xffff;
}

/** The sample columns of a histogram chunk behind header and layout, which `writer` already has. */
export class HistogramStream {
  readonly #writer: BitWriter;
  readonly #sum = newXorColumn();
  readonly #float: boolean;
  readonly #startTimes: StartTimeEncoder | undefined;
  readonly #floatColumns: XorColumn[] = [];
  /** Integer columns: the last value and its last change. */
  #last: number[] = [];
  #changes: number[] = [];
  #time = 0;
  #delta = 0;
  #rows = 0;

  constructor({ float, startTimes }: HistogramForm, writer: BitWriter) {
    this.#float = float;
    this.#startTimes = startTimes ? new StartTimeEncoder() : undefined;
    this.#writer = writer;
  }

  get sizeBytes(): number {
    return this.#writer.sizeBytes;
  }

  append(row: HistogramRow): void {
    const previousTime = this.#time;
    this.#appendTime(row.time);
    if (this.#float) this.#appendFloats(row);
    else this.#appendIntegers(row);
    const { time, startTime } = row;
    this.#startTimes?.write(this.#writer, this.#rows, { time, previousTime, startTime });
    this.#rows++;
  }

  /** Appends a float histogram of the chunk's layout: its row as in `HistogramRows`, from `at` on. */
  appendRow(time: number, values: Float64Array, at: number, stride: number): void {
    this.#appendTime(time);
    for (let column = 0; column < stride; column++)
      this.#appendDouble(column, values[at + column]!);
    this.#rows++;
  }

  /** The header's two forms are drawn at `decodeHistograms`. */
  toBytes(flag: number): Uint8Array {
    const startTimes = this.#startTimes;
    const count = this.#rows;
    assert(count <= mostHistograms(startTimes !== undefined), `${count} samples in one chunk`);
    this.#writer.patchUint8(0, (count >>> 8) | (startTimes === undefined ? 0 : flag));
    this.#writer.patchUint8(1, count & 0xff);
    this.#writer.patchUint8(2, startTimes === undefined ? flag : startTimes.header);
    return this.#writer.toBytes();
  }

  #appendTime(time: number): void {
    if (this.#rows === 0) {
      this.#writer.varbitInt(time);
    } else {
      const delta = time - this.#time;
      this.#writer.varbitInt(delta - this.#delta);
      this.#delta = delta;
    }
    this.#time = time;
  }

  #appendFloats(row: HistogramRow): void {
    this.#appendDouble(0, row.count);
    this.#appendDouble(1, row.zeroCount);
    this.#appendSum(row);
    let column = 2;
    for (const bucket of row.positive) this.#appendDouble(column++, bucket);
    for (const bucket of row.negative) this.#appendDouble(column++, bucket);
  }

  #appendIntegers(row: HistogramRow): void {
    if (row.stale && this.#rows > 0) {
      // The counts of a stale sample are not looked at; "no change" takes one bit each.
      this.#writer.bits(0, 2);
    } else {
      this.#appendCount(0, row.count);
      this.#appendCount(1, row.zeroCount);
    }
    this.#appendSum(row);
    let column = 2;
    for (const buckets of [row.positive, row.negative]) {
      let previous = 0;
      for (const bucket of buckets) {
        this.#appendStep(column++, bucket - previous);
        previous = bucket;
      }
    }
  }

  #appendSum(row: HistogramRow): void {
    double[0] = row.sum;
    if (row.stale) setStale(halves, 0);
    if (this.#rows === 0) writeFirst(this.#writer, this.#sum, halves[1]!, halves[0]!);
    else writeXor(this.#writer, this.#sum, halves[1]!, halves[0]!);
  }

  #appendDouble(column: number, value: number): void {
    double[0] = value;
    const state = (this.#floatColumns[column] ??= newXorColumn());
    if (this.#rows === 0) writeFirst(this.#writer, state, halves[1]!, halves[0]!);
    else writeXor(this.#writer, state, halves[1]!, halves[0]!);
  }

  #appendCount(column: number, value: number): void {
    if (this.#rows === 0) {
      this.#writer.varbitUint(value);
      this.#last[column] = value;
      this.#changes[column] = 0;
    } else {
      this.#appendStep(column, value);
    }
  }

  /** A signed column: the value at first, then the change of its change. */
  #appendStep(column: number, value: number): void {
    if (this.#rows === 0) {
      this.#writer.varbitInt(value);
      this.#changes[column] = 0;
    } else {
      const change = value - this.#last[column]!;
      this.#writer.varbitInt(change - this.#changes[column]!);
      this.#changes[column] = change;
    }
    this.#last[column] = value;
  }
}

const double = new Float64Array(1);
const halves = new Int32Array(double.buffer);
