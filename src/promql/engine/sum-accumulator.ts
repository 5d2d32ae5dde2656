import { METRIC_NAME } from '#/model/labels.ts';
import { HistogramMean, HistogramSum, compactHistogram } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { infoTexts, warningTexts } from '../annotation-texts.ts';
import type { StepColumn } from '../step-column.ts';
import type { Accumulator, AccumulatorNotes, FloatFold } from './accumulator.ts';
import type { OutputSeries } from './operator.ts';

/** The compensated sum of floats. Source of the method: util/kahansum in Prometheus. */
export class SumFold implements FloatFold {
  readonly #sums: Float64Array;
  readonly #rests: Float64Array;
  readonly #seen: Uint8Array;

  constructor(steps: number) {
    this.#sums = new Float64Array(steps);
    this.#rests = new Float64Array(steps);
    this.#seen = new Uint8Array(steps);
  }

  reset(): void {
    this.#sums.fill(0);
    this.#rests.fill(0);
    this.#seen.fill(0);
  }

  addFloat(step: number, value: number): void {
    const sum = this.#sums[step]!;
    const next = sum + value;
    if (next === Infinity || next === -Infinity) this.#rests[step] = 0;
    else if (Math.abs(sum) >= Math.abs(value)) this.#rests[step]! += sum - next + value;
    else this.#rests[step]! += value - next + sum;
    this.#sums[step] = next;
    this.#seen[step] = 1;
  }

  /** The same for a whole column of floats: the inner loop of `sum(rate(…))`. */
  addColumn({ values, present }: StepColumn): void {
    const sums = this.#sums;
    const rests = this.#rests;
    const seen = this.#seen;
    for (let step = 0; step < sums.length; step++) {
      if (present[step] === 0) continue;
      const value = values[step]!;
      const sum = sums[step]!;
      const next = sum + value;
      if (next === Infinity || next === -Infinity) rests[step] = 0;
      else if (Math.abs(sum) >= Math.abs(value)) rests[step]! += sum - next + value;
      else rests[step]! += value - next + sum;
      sums[step] = next;
      seen[step] = 1;
    }
  }

  has(step: number): boolean {
    return this.#seen[step] === 1;
  }

  finish(into: StepColumn): void {
    into.clear();
    for (let step = 0; step < into.steps; step++) {
      if (this.#seen[step] === 1) into.setFloat(step, this.#sums[step]! + this.#rests[step]!);
    }
  }
}

/** The mean of floats: the compensated sum divided, or once that overflows, a moving mean. */
export class MeanFold implements FloatFold {
  readonly #sums: Float64Array;
  readonly #rests: Float64Array;
  readonly #counts: Float64Array;
  /** 1 where `#sums` has become a mean. */
  readonly #isMean: Uint8Array;

  constructor(steps: number) {
    this.#sums = new Float64Array(steps);
    this.#rests = new Float64Array(steps);
    this.#counts = new Float64Array(steps);
    this.#isMean = new Uint8Array(steps);
  }

  reset(): void {
    this.#counts.fill(0);
  }

  addFloat(step: number, value: number): void {
    const count = (this.#counts[step]! += 1);
    if (count === 1) {
      this.#sums[step] = value;
      this.#rests[step] = 0;
      this.#isMean[step] = 0;
      return;
    }
    if (this.#isMean[step] === 0) {
      const next = this.#sums[step]! + value;
      if (next !== Infinity && next !== -Infinity) {
        this.#addTo(step, value);
        return;
      }
      this.#isMean[step] = 1;
      this.#sums[step]! /= count - 1;
      this.#rests[step]! /= count - 1;
    }
    const share = (count - 1) / count;
    this.#sums[step]! *= share;
    this.#rests[step]! *= share;
    this.#addTo(step, value / count);
  }

  #addTo(step: number, value: number): void {
    const sum = this.#sums[step]!;
    const next = sum + value;
    if (next === Infinity || next === -Infinity) this.#rests[step] = 0;
    else if (Math.abs(sum) >= Math.abs(value)) this.#rests[step]! += sum - next + value;
    else this.#rests[step]! += value - next + sum;
    this.#sums[step] = next;
  }

  has(step: number): boolean {
    return this.#counts[step]! > 0;
  }

  finish(into: StepColumn): void {
    into.clear();
    for (let step = 0; step < into.steps; step++) {
      const count = this.#counts[step]!;
      if (count === 0) continue;
      const divisor = this.#isMean[step] === 1 ? 1 : count;
      into.setFloat(step, this.#sums[step]! / divisor + this.#rests[step]! / divisor);
    }
  }
}

/**
 * `sum` and `avg`: floats and histograms are folded apart. A step that has both, or histograms that
 * do not go together, has no result but a warning.
 */
export class SumAccumulator implements Accumulator {
  readonly #floats: SumFold | MeanFold;
  readonly #notes: AccumulatorNotes;
  readonly #isMean: boolean;
  /**
   * By step. `unfit` once the histograms turned out not to go together: nothing counts behind that.
   * `late` where a float came first: then Prometheus never looks whether they do.
   */
  readonly #histograms = new Map<number, HistogramSum | HistogramMean | 'unfit' | 'late'>();

  constructor(name: 'sum' | 'avg', steps: number, notes: AccumulatorNotes) {
    this.#isMean = name === 'avg';
    this.#floats = this.#isMean ? new MeanFold(steps) : new SumFold(steps);
    this.#notes = notes;
  }

  reset(): void {
    this.#floats.reset();
    this.#histograms.clear();
  }

  add(column: StepColumn, series: OutputSeries): void {
    if (column.histograms === undefined && this.#floats instanceof SumFold) {
      this.#floats.addColumn(column);
      return;
    }
    for (let step = 0; step < column.steps; step++) {
      if (column.present[step] === 0) continue;
      const histogram = column.histograms?.[step];
      if (histogram === undefined) this.#floats.addFloat(step, column.values[step]!);
      else this.#addHistogram(step, histogram, series);
    }
  }

  #addHistogram(step: number, histogram: FloatHistogram, { labels }: OutputSeries): void {
    if (!this.#histograms.has(step)) {
      const first = this.#isMean ? new HistogramMean(histogram) : new HistogramSum(histogram);
      this.#histograms.set(step, this.#floats.has(step) ? 'late' : first);
      return;
    }
    const sum = this.#histograms.get(step)!;
    if (typeof sum === 'string' || sum.add(histogram)) return;
    this.#histograms.set(step, 'unfit');
    const { annotations, position } = this.#notes;
    // What was summed before counts for nothing, but its notes stay.
    if (sum.boundsReconciled) {
      annotations.info(infoTexts.mismatchedCustomBuckets('aggregation'), position);
    }
    const metricName = labels.get(METRIC_NAME);
    annotations.warn(warningTexts.mixedExponentialCustomHistograms(metricName), position);
  }

  finish(into: StepColumn): void {
    this.#floats.finish(into);
    const { annotations, position } = this.#notes;
    for (const [step, sum] of this.#histograms) {
      if (typeof sum !== 'string' && sum.boundsReconciled) {
        annotations.info(infoTexts.mismatchedCustomBuckets('aggregation'), position);
      }
      if (sum === 'unfit') {
        into.remove(step);
        continue;
      }
      if (into.present[step] === 1) {
        annotations.warn(warningTexts.mixedFloatsHistogramsInAggregation(), position);
        into.remove(step);
        continue;
      }
      if (sum === 'late') continue;
      if (sum.counterResetCollision) {
        annotations.warn(warningTexts.counterResetCollision('aggregation'), position);
      }
      into.setHistogram(step, compactHistogram(sum.result()));
    }
  }
}
