import { Labels } from '#/model/labels.ts';
import { StepColumn } from '../step-column.ts';
import type { StepGrid } from '../step-grid.ts';
import type { Operator, OutputSeries } from './operator.ts';
import { scalarSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';

/** A scalar that depends on nothing but the step. */
export class ComputedScalar implements Operator {
  readonly #grid: StepGrid;
  readonly #valueAt: (timeMs: number) => number;

  constructor(grid: StepGrid, valueAt: (timeMs: number) => number) {
    this.#grid = grid;
    this.#valueAt = valueAt;
  }

  open(): Promise<readonly OutputSeries[]> {
    return Promise.resolve(scalarSeries(Labels.empty));
  }

  read(_index: number, into: StepColumn): void {
    const { startMs, stepMs } = this.#grid;
    into.clear();
    for (let step = 0; step < into.steps; step++) {
      into.setFloat(step, this.#valueAt(startMs + step * stepMs));
    }
  }
}

/** A scalar whose values at the steps are given, at the latest when it is read. */
export class KnownScalar implements Operator {
  readonly #values: Float64Array;

  constructor(values: Float64Array) {
    this.#values = values;
  }

  open(): Promise<readonly OutputSeries[]> {
    return Promise.resolve(scalarSeries(Labels.empty));
  }

  read(_index: number, into: StepColumn): void {
    into.clear();
    into.values.set(this.#values);
    into.present.fill(1);
  }
}

/** A scalar out of scalars: `1 + time()`, `max_of(a, b)`. */
export class CombinedScalar implements Operator {
  readonly #left: Operator;
  readonly #right: Operator;
  readonly #combine: (left: number, right: number) => number;
  #scratch: StepColumn | undefined;

  constructor(left: Operator, right: Operator, combine: (left: number, right: number) => number) {
    this.#left = left;
    this.#right = right;
    this.#combine = combine;
  }

  async open(): Promise<readonly OutputSeries[]> {
    await Promise.all([this.#left.open(), this.#right.open()]);
    return scalarSeries(Labels.empty);
  }

  read(_index: number, into: StepColumn): void {
    this.#scratch ??= new StepColumn(into.steps);
    this.#left.read(0, into);
    this.#right.read(0, this.#scratch);
    const right = this.#scratch.values;
    for (let step = 0; step < into.steps; step++) {
      into.values[step] = this.#combine(into.values[step]!, right[step]!);
    }
  }
}

/** `scalar(v)`: the one float of a vector, NaN where there are none or several. */
export class ScalarOfVector implements Operator {
  readonly #vector: Operator;
  readonly #result: StepColumn;
  readonly #run: QueryRun;

  constructor(vector: Operator, grid: StepGrid, run: QueryRun) {
    this.#vector = vector;
    this.#result = new StepColumn(grid.steps);
    this.#run = run;
  }

  async open(): Promise<readonly OutputSeries[]> {
    const series = await this.#vector.open();
    await this.#vector.readAhead?.([...series.keys()]);
    const { values, present, steps } = this.#result;
    const found = new Uint8Array(steps);
    const column = new StepColumn(steps);
    values.fill(Number.NaN);
    present.fill(1);
    for (let index = 0; index < series.length; index++) {
      this.#vector.read(index, column);
      for (let step = 0; step < steps; step++) {
        if (column.present[step] === 0 || column.histograms?.[step] !== undefined) continue;
        values[step] = found[step] === 0 ? column.values[step]! : Number.NaN;
        found[step] = 1;
      }
      if (this.#run.isDue) await this.#run.pause();
    }
    return scalarSeries(Labels.empty);
  }

  read(_index: number, into: StepColumn): void {
    into.copyFrom(this.#result);
  }
}

/** The values of a scalar operator at every step. It must be open. */
export function readScalar(operator: Operator, steps: number): Float64Array {
  const column = new StepColumn(steps);
  operator.read(0, column);
  return column.values;
}
