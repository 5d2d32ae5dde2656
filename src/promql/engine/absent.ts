import { Labels, METRIC_NAME } from '#/model/labels.ts';
import type { Matcher } from '#/model/matcher.ts';
import { StepColumn } from '../step-column.ts';
import type { StepGrid } from '../step-grid.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';

/** `absent` and `absent_over_time`: 1 at every step where its input has nothing. */
export class AbsentOperator implements Operator {
  readonly #input: Operator;
  readonly #grid: StepGrid;
  readonly #labels: Labels;
  readonly #run: QueryRun;
  readonly #found: Uint8Array;

  constructor(input: Operator, grid: StepGrid, labels: Labels, run: QueryRun) {
    this.#input = input;
    this.#grid = grid;
    this.#labels = labels;
    this.#run = run;
    this.#found = new Uint8Array(grid.steps);
  }

  async open(): Promise<readonly OutputSeries[]> {
    const series = await this.#input.open();
    await this.#input.readAhead?.([...series.keys()]);
    const column = new StepColumn(this.#grid.steps);
    for (let index = 0; index < series.length; index++) {
      this.#input.read(index, column);
      for (let step = 0; step < column.steps; step++) this.#found[step]! |= column.present[step]!;
      if (this.#run.isDue) await this.#run.pause();
    }
    if (!this.#found.includes(0)) return [];
    return [{ labels: this.#labels, dropName: false }];
  }

  read(_index: number, into: StepColumn): void {
    into.clear();
    for (let step = 0; step < into.steps; step++) {
      if (this.#found[step] === 0) into.setFloat(step, 1);
    }
  }
}

/** The labels that the missing series would surely have: those with exactly one condition, `=`. */
export function absentLabels(matchers: readonly Matcher[]): Labels {
  const values = new Map<string, string>();
  const seen = new Set<string>();
  for (const { name, type, value } of matchers) {
    if (name === METRIC_NAME) continue;
    if (type === '=' && !seen.has(name)) {
      values.set(name, value);
      seen.add(name);
    } else {
      values.delete(name);
    }
  }
  return Labels.from(Array.from(values, ([name, value]) => ({ name, value })));
}
