import type { StepColumn } from '../step-column.ts';

/** The first bytes of the memory: not 0 when nobody wants the answer any more. */
const HEADER_BYTES = 8;
const FLOAT_BYTES = 8;

export interface ShardShape {
  readonly series: number;
  readonly steps: number;
}

/**
 * What a task and its answer share, laid out for series S and steps T:
 *
 *     canceled <int32, padded to 8> | values <S × T float64> | counted, touched <S × 2 float64>
 *     | present <S × T uint8> | bytes of the series, one after the other
 */
export class ShardMemory {
  readonly #steps: number;
  readonly #canceled: Int32Array;
  readonly #values: Float64Array;
  readonly #counts: Float64Array;
  readonly #present: Uint8Array;
  /** What the series are read from. */
  readonly bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer, shape: ShardShape) {
    const { series, steps } = shape;
    this.#steps = steps;
    this.#canceled = new Int32Array(memory, 0, 1);
    this.#values = new Float64Array(memory, HEADER_BYTES, series * steps);
    this.#counts = new Float64Array(memory, this.#values.byteLength + HEADER_BYTES, series * 2);
    const columns = this.#counts.byteOffset + this.#counts.byteLength;
    this.#present = new Uint8Array(memory, columns, series * steps);
    this.bytes = new Uint8Array(memory, columns + this.#present.byteLength);
  }

  /** How much memory the columns take, to which the bytes of the series come. */
  static sizeFor({ series, steps }: ShardShape): number {
    return HEADER_BYTES + series * (steps * (FLOAT_BYTES + 1) + 2 * FLOAT_BYTES);
  }

  get isCanceled(): boolean {
    return Atomics.load(this.#canceled, 0) !== 0;
  }

  set isCanceled(canceled: boolean) {
    Atomics.store(this.#canceled, 0, canceled ? 1 : 0);
  }

  /** Its histograms stay behind. */
  writeColumn(series: number, { values, present }: StepColumn): void {
    this.#values.set(values, series * this.#steps);
    this.#present.set(present, series * this.#steps);
  }

  readColumn(series: number, { values, present }: StepColumn): void {
    const start = series * this.#steps;
    values.set(this.#values.subarray(start, start + this.#steps));
    present.set(this.#present.subarray(start, start + this.#steps));
  }

  writeCounts(series: number, counted: number, touched: number): void {
    this.#counts[2 * series] = counted;
    this.#counts[2 * series + 1] = touched;
  }

  readCounts(series: number): { counted: number; touched: number } {
    return { counted: this.#counts[2 * series]!, touched: this.#counts[2 * series + 1]! };
  }
}
