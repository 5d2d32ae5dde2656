import type { Annotations } from '../annotations.ts';
import { infoTexts } from '../annotation-texts.ts';
import type { PositionRange } from '../ast.ts';
import { quantileOf } from '../functions/quantile.ts';
import type { StepColumn } from '../step-column.ts';
import type { OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';

/** Folds the series of one group, step by step. Reused for group after group. */
export interface Accumulator {
  reset(): void;
  add(column: StepColumn, series: OutputSeries): void;
  /** Fills `into`, a step for each step that had anything to fold. */
  finish(into: StepColumn): void;
}

/** Where an accumulator's annotations go. */
export interface AccumulatorNotes {
  readonly annotations: Annotations;
  /** Of the aggregated expression. */
  readonly position: PositionRange;
}

/** `count` and `group`, which do not look at the samples. */
export class CountAccumulator implements Accumulator {
  readonly #counts: Float64Array;
  readonly #isGroup: boolean;

  constructor(steps: number, isGroup: boolean) {
    this.#counts = new Float64Array(steps);
    this.#isGroup = isGroup;
  }

  reset(): void {
    this.#counts.fill(0);
  }

  add({ present, steps }: StepColumn): void {
    for (let step = 0; step < steps; step++) this.#counts[step]! += present[step]!;
  }

  finish(into: StepColumn): void {
    into.clear();
    for (let step = 0; step < into.steps; step++) {
      const count = this.#counts[step]!;
      if (count > 0) into.setFloat(step, this.#isGroup ? 1 : count);
    }
  }
}

/** Folds the floats of one group, step by step. */
export interface FloatFold {
  reset(): void;
  addFloat(step: number, value: number): void;
  finish(into: StepColumn): void;
}

/** Gives a fold the floats and passes over histograms with a remark. */
export class FloatAccumulator implements Accumulator {
  readonly #fold: FloatFold;
  readonly #name: string;
  readonly #notes: AccumulatorNotes;

  constructor(name: string, fold: FloatFold, notes: AccumulatorNotes) {
    this.#name = name;
    this.#fold = fold;
    this.#notes = notes;
  }

  reset(): void {
    this.#fold.reset();
  }

  add({ values, present, histograms, steps }: StepColumn): void {
    for (let step = 0; step < steps; step++) {
      if (present[step] === 0) continue;
      if (histograms?.[step] === undefined) this.#fold.addFloat(step, values[step]!);
      else this.#ignoreHistogram();
    }
  }

  finish(into: StepColumn): void {
    this.#fold.finish(into);
  }

  #ignoreHistogram(): void {
    const { annotations, position } = this.#notes;
    annotations.info(infoTexts.histogramIgnoredInAggregation(this.#name), position);
  }
}

/** `min` and `max`; NaN only when there is nothing else. */
export class ExtremeFold implements FloatFold {
  readonly #extremes: Float64Array;
  readonly #seen: Uint8Array;
  readonly #isMax: boolean;

  constructor(name: 'min' | 'max', steps: number) {
    this.#extremes = new Float64Array(steps);
    this.#seen = new Uint8Array(steps);
    this.#isMax = name === 'max';
  }

  reset(): void {
    this.#seen.fill(0);
  }

  addFloat(step: number, value: number): void {
    const extreme = this.#extremes[step]!;
    const better = this.#isMax ? extreme < value : extreme > value;
    if (this.#seen[step] === 1 && !better && extreme === extreme) return;
    this.#extremes[step] = value;
    this.#seen[step] = 1;
  }

  finish(into: StepColumn): void {
    copySeen(this.#extremes, this.#seen, into);
  }
}

/** `stdvar` and `stddev`, by Welford's method. */
export class VarianceFold implements FloatFold {
  readonly #counts: Float64Array;
  readonly #means: Float64Array;
  readonly #squares: Float64Array;
  readonly #isDeviation: boolean;

  constructor(name: 'stdvar' | 'stddev', steps: number) {
    this.#isDeviation = name === 'stddev';
    this.#counts = new Float64Array(steps);
    this.#means = new Float64Array(steps);
    this.#squares = new Float64Array(steps);
  }

  reset(): void {
    this.#counts.fill(0);
  }

  addFloat(step: number, value: number): void {
    const count = (this.#counts[step]! += 1);
    if (count === 1) {
      this.#means[step] = value;
      this.#squares[step] = Number.isFinite(value) ? 0 : Number.NaN;
      return;
    }
    const delta = value - this.#means[step]!;
    const mean = (this.#means[step]! += delta / count);
    this.#squares[step]! += delta * (value - mean);
  }

  finish(into: StepColumn): void {
    into.clear();
    for (let step = 0; step < into.steps; step++) {
      const count = this.#counts[step]!;
      if (count === 0) continue;
      const variance = this.#squares[step]! / count;
      into.setFloat(step, this.#isDeviation ? Math.sqrt(variance) : variance);
    }
  }
}

/** `quantile`: keeps all values of a group, counted. */
export class QuantileFold implements FloatFold {
  readonly #quantiles: Float64Array;
  readonly #run: QueryRun;
  /** Values of series i at step s are at `s × capacity + i`. */
  #values = new Float64Array(0);
  #capacity = 0;
  readonly #counts: Int32Array;

  constructor(quantiles: Float64Array, run: QueryRun) {
    this.#quantiles = quantiles;
    this.#run = run;
    this.#counts = new Int32Array(quantiles.length);
  }

  reset(): void {
    this.#counts.fill(0);
  }

  addFloat(step: number, value: number): void {
    const count = this.#counts[step]!;
    if (count === this.#capacity) this.#grow();
    this.#values[step * this.#capacity + count] = value;
    this.#counts[step] = count + 1;
  }

  #grow(): void {
    const capacity = Math.max(8, this.#capacity * 2);
    const steps = this.#counts.length;
    this.#run.reserve(8 * steps * capacity);
    const values = new Float64Array(steps * capacity);
    for (let step = 0; step < steps; step++) {
      const old = step * this.#capacity;
      values.set(this.#values.subarray(old, old + this.#counts[step]!), step * capacity);
    }
    this.#run.release(8 * this.#values.length);
    this.#values = values;
    this.#capacity = capacity;
  }

  finish(into: StepColumn): void {
    into.clear();
    for (let step = 0; step < into.steps; step++) {
      const count = this.#counts[step]!;
      if (count === 0) continue;
      const start = step * this.#capacity;
      const values = this.#values.subarray(start, start + count);
      into.setFloat(step, quantileOf(this.#quantiles[step]!, values));
    }
  }
}

function copySeen(values: Float64Array, seen: Uint8Array, into: StepColumn): void {
  into.histograms = undefined;
  into.values.set(values);
  into.present.set(seen);
}
