import type { FloatHistogram } from '#/model/histogram.ts';

/**
 * The samples of one series over the steps of a query. Operators fill and read whole columns; a
 * column is owned by whoever made it and reused for series after series.
 */
export class StepColumn {
  /** Value i is meaningful where `present[i]` is 1 and `histograms?.[i]` is undefined. */
  readonly values: Float64Array;
  readonly present: Uint8Array;
  /** `undefined` while the series has floats only. */
  histograms: (FloatHistogram | undefined)[] | undefined;

  constructor(steps: number) {
    this.values = new Float64Array(steps);
    this.present = new Uint8Array(steps);
  }

  get steps(): number {
    return this.values.length;
  }

  clear(): void {
    this.present.fill(0);
    this.histograms = undefined;
  }

  setFloat(step: number, value: number): void {
    this.values[step] = value;
    this.present[step] = 1;
    if (this.histograms !== undefined) this.histograms[step] = undefined;
  }

  setHistogram(step: number, histogram: FloatHistogram): void {
    this.present[step] = 1;
    this.histograms ??= [];
    this.histograms[step] = histogram;
  }

  remove(step: number): void {
    this.present[step] = 0;
    if (this.histograms !== undefined) this.histograms[step] = undefined;
  }

  /** Makes this column equal to `other`, which has the same number of steps. */
  copyFrom(other: StepColumn): void {
    this.values.set(other.values);
    this.present.set(other.present);
    this.histograms = other.histograms?.slice();
  }

  isEmpty(): boolean {
    return !this.present.includes(1);
  }
}
