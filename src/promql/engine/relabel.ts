import type { Labels } from '#/model/labels.ts';
import type { StepColumn } from '../step-column.ts';
import { MergedSeries } from './merged-series.ts';
import type { SharedLabels } from './merged-series.ts';
import type { Operator, OutputSeries } from './operator.ts';
import { withoutMetadata } from './operator.ts';

/** Changes the labels of each series, and its column too if `change` is given. */
export class RelabelOperator implements Operator {
  readonly #input: Operator;
  readonly #relabel: (series: OutputSeries) => OutputSeries;
  readonly #change: ((column: StepColumn) => void) | undefined;
  readonly #shared: SharedLabels;
  #merged: MergedSeries | undefined;

  constructor(
    input: Operator,
    relabel: (series: OutputSeries) => OutputSeries,
    change?: (column: StepColumn) => void,
    shared: SharedLabels = 'at-different-steps',
  ) {
    this.#input = input;
    this.#relabel = relabel;
    this.#change = change;
    this.#shared = shared;
  }

  async open(): Promise<readonly OutputSeries[]> {
    const series = await this.#input.open();
    this.#merged = new MergedSeries(series.map(this.#relabel), this.#shared);
    return this.#merged.series;
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#input.readAhead?.(this.#merged!.inputsOf(order));
  }

  read(index: number, into: StepColumn): void {
    this.#merged!.read(index, into, this.#readInput);
  }

  readonly #readInput = (index: number, into: StepColumn): void => {
    this.#input.read(index, into);
    this.#change?.(into);
  };
}

/** The series of a function whose results are no longer the metric: without its name, now or later. */
export function unnamed(delayed: boolean): (series: OutputSeries) => OutputSeries {
  return ({ labels }) => ({ labels: delayed ? labels : withoutMetadata(labels), dropName: true });
}

/** The same series under other labels. */
export function relabelled(
  change: (labels: Labels) => Labels,
): (series: OutputSeries) => OutputSeries {
  return (series) => ({ ...series, labels: change(series.labels) });
}
