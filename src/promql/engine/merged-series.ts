import { EvaluationError } from '../evaluation-error.ts';
import { StepColumn } from '../step-column.ts';
import type { OutputSeries } from './operator.ts';

/** How series may share a label set: at different steps, or not at all. */
export type SharedLabels = 'at-different-steps' | 'never';

/**
 * The series of an operator after it changed the labels of its input one to one: inputs that became
 * equal are one series, as long as they do not meet.
 */
export class MergedSeries {
  readonly series: readonly OutputSeries[];
  /** The inputs of each series; `undefined` when it is one each, at its own index. */
  readonly #members: readonly (readonly number[])[] | undefined;
  readonly #shared: SharedLabels;
  #scratch: StepColumn | undefined;

  constructor(relabelled: readonly OutputSeries[], shared: SharedLabels = 'at-different-steps') {
    this.#shared = shared;
    const distinct = new Set(relabelled.map(({ labels }) => labels.key));
    const areDistinct = distinct.size === relabelled.length;
    this.#members = areDistinct ? undefined : groupByLabels(relabelled);
    this.series = this.#members?.map(([first]) => relabelled[first!]!) ?? relabelled;
  }

  /** The inputs in the order in which they are read for the series of `order`. */
  inputsOf(order: readonly number[]): readonly number[] {
    const members = this.#members;
    return members === undefined ? order : order.flatMap((index) => members[index]!);
  }

  /**
   * Reads series `index` with the help of `readInput`.
   * @throws EvaluationError if two of its inputs have a sample at the same step.
   */
  read(index: number, into: StepColumn, readInput: ReadInput): void {
    if (this.#members === undefined) {
      readInput(index, into);
      return;
    }
    const [first, ...others] = this.#members[index]!;
    readInput(first!, into);
    for (const other of others) {
      this.#scratch ??= new StepColumn(into.steps);
      readInput(other, this.#scratch);
      if (this.#shared === 'never' && !this.#scratch.isEmpty() && !into.isEmpty()) failSameLabels();
      addSamples(into, this.#scratch);
    }
  }
}

export type ReadInput = (index: number, into: StepColumn) => void;

function groupByLabels(series: readonly OutputSeries[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const [index, { labels }] of series.entries()) {
    const group = groups.get(labels.key);
    if (group === undefined) groups.set(labels.key, [index]);
    else group.push(index);
  }
  return [...groups.values()];
}

/** Puts the samples of `more` between those of `into`. */
export function addSamples(into: StepColumn, more: StepColumn): void {
  for (let step = 0; step < into.steps; step++) {
    if (more.present[step] === 0) continue;
    if (into.present[step] === 1) failSameLabels();
    const histogram = more.histograms?.[step];
    if (histogram === undefined) into.setFloat(step, more.values[step]!);
    else into.setHistogram(step, histogram);
  }
}

export function failSameLabels(): never {
  throw new EvaluationError('vector cannot contain metrics with the same labelset');
}
