import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { StepGrid } from '../step-grid.ts';
import { StepColumn } from '../step-column.ts';
import { compareNaturally } from './natural-order.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';

export type SeriesOrder = (a: Sortable, b: Sortable) => number;

interface Sortable {
  readonly labels: Labels;
  /** NaN where there is none. */
  readonly value: number;
}

/** `sort` and `sort_desc`: by value, NaN last in both. */
export function byValue(direction: 1 | -1): SeriesOrder {
  return (a, b) => {
    const nans = Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value));
    return nans !== 0 || Number.isNaN(a.value) ? nans : direction * (a.value - b.value || 0);
  };
}

/** `sort_by_label` and `sort_by_label_desc`: by the given labels, then by all of them. */
export function byLabels(names: readonly string[], direction: 1 | -1): SeriesOrder {
  return (a, b) => {
    for (const name of names) {
      const order = compareNaturally(a.labels.get(name), b.labels.get(name));
      if (order !== 0) return direction * order;
    }
    return direction * compareLabels(a.labels, b.labels);
  };
}

/**
 * The order that an instant query's result keeps. Range queries sort by labels in the end, so there
 * the series are left in place.
 */
export class SortOperator implements Operator {
  readonly #input: Operator;
  readonly #grid: StepGrid;
  readonly #compare: SeriesOrder;
  readonly #run: QueryRun;
  #order: readonly number[] | undefined;

  constructor(input: Operator, grid: StepGrid, compare: SeriesOrder, run: QueryRun) {
    this.#input = input;
    this.#grid = grid;
    this.#compare = compare;
    this.#run = run;
  }

  async open(): Promise<readonly OutputSeries[]> {
    const series = await this.#input.open();
    if (this.#grid.steps !== 1) return series;
    await this.#input.readAhead?.([...series.keys()]);
    const column = new StepColumn(1);
    const sortables: (Sortable & { index: number })[] = [];
    for (const [index, { labels }] of series.entries()) {
      this.#input.read(index, column);
      const isFloat = column.present[0] === 1 && column.histograms?.[0] === undefined;
      sortables.push({ labels, index, value: isFloat ? column.values[0]! : Number.NaN });
      if (this.#run.isDue) await this.#run.pause();
    }
    this.#order = sortables.sort(this.#compare).map(({ index }) => index);
    return this.#order.map((index) => series[index]!);
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#input.readAhead?.(order.map((index) => this.#order?.[index] ?? index));
  }

  read(index: number, into: StepColumn): void {
    this.#input.read(this.#order?.[index] ?? index, into);
  }
}

/** Sorting by value knows floats only. */
export function dropHistograms(column: StepColumn): void {
  if (column.histograms === undefined) return;
  for (const [step, histogram] of column.histograms.entries()) {
    if (histogram !== undefined) column.remove(step);
  }
}
