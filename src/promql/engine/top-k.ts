import { formatG } from '#/lib/float-text.ts';
import { EvaluationError } from '../evaluation-error.ts';
import { infoTexts } from '../annotation-texts.ts';
import type { AggregateNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import type { Group } from './grouping.ts';
import { groupSeries } from './grouping.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { columnBytes } from './query-run.ts';
import { readUnused } from './read-unused.ts';
import { readScalar } from './scalar.ts';
import { StepHeaps } from './step-heaps.ts';

interface Selected {
  readonly member: number;
  readonly column: StepColumn;
}

/**
 * `topk`, `bottomk` and `limitk`: of each group at every step some series, under their own labels.
 * Folded at opening: a heap a step for the group at hand, and the columns of what was selected.
 */
export class TopKOperator implements Operator {
  readonly #node: AggregateNode;
  readonly #input: Operator;
  readonly #parameter: Operator;
  readonly #run: QueryRun;
  #selected: readonly Selected[] = [];

  constructor(node: AggregateNode, input: Operator, parameter: Operator, run: QueryRun) {
    this.#node = node;
    this.#input = input;
    this.#parameter = parameter;
    this.#run = run;
  }

  async open(): Promise<readonly OutputSeries[]> {
    const [series] = await Promise.all([this.#input.open(), this.#parameter.open()]);
    const { steps } = this.#node.grid;
    const limits = limitsOf(readScalar(this.#parameter, steps), series.length);
    if (limits === undefined) {
      await readUnused(this.#input, [...series.keys()], steps, this.#run);
      return [];
    }
    const selected: Selected[] = [];
    const groups = groupSeries(series, this.#node);
    await this.#input.readAhead?.(groups.flatMap(({ members }) => members));
    for (const group of groups) {
      selected.push(...(await this.#select(group, limits)));
    }
    this.#selected = selected;
    return selected.map(({ member }) => series[member]!);
  }

  read(index: number, into: StepColumn): void {
    into.copyFrom(this.#selected[index]!.column);
  }

  async #select({ members }: Group, limits: Int32Array): Promise<Selected[]> {
    const { operator, grid } = this.#node;
    const capacity = Math.min(
      members.length,
      limits.reduce((a, b) => Math.max(a, b), 0),
    );
    const bytes = grid.steps * capacity * 12;
    this.#run.reserve(bytes);
    const heaps = new StepHeaps(grid.steps, capacity, operator === 'bottomk');
    const column = new StepColumn(grid.steps);
    for (const [ordinal, member] of members.entries()) {
      this.#input.read(member, column);
      if (operator === 'limitk') heaps.addFirst(column, ordinal, limits);
      else if (heaps.addBest(column, ordinal, limits)) this.#noteHistogram();
      this.#run.spend(grid.steps);
      if (this.#run.isDue) await this.#run.pause();
    }
    const selected = this.#collect(heaps, members);
    this.#run.release(bytes);
    return selected;
  }

  /** In range queries in input order; in instant queries in that of the result. */
  #collect(heaps: StepHeaps, members: readonly number[]): Selected[] {
    const { operator, grid } = this.#node;
    const columns = new Map<number, StepColumn>();
    for (let step = 0; step < grid.steps; step++) {
      for (const { ordinal, value } of heaps.at(step, operator !== 'limitk')) {
        let column = columns.get(ordinal);
        if (column === undefined) {
          this.#run.reserve(columnBytes(grid.steps));
          column = new StepColumn(grid.steps);
          columns.set(ordinal, column);
        }
        this.#run.holdSamples(1);
        column.setFloat(step, value);
      }
    }
    const selected = Array.from(columns, ([ordinal, column]) => {
      const member = members[ordinal]!;
      if (operator === 'limitk') this.#restore(member, column);
      return { member, column };
    });
    return grid.steps === 1 ? selected : selected.sort((a, b) => a.member - b.member);
  }

  /** `limitk` selects histograms, too; heaps only hold floats. */
  #restore(member: number, column: StepColumn): void {
    const full = new StepColumn(column.steps);
    this.#input.read(member, full);
    if (full.histograms === undefined) return;
    for (let step = 0; step < column.steps; step++) {
      const histogram = full.histograms[step];
      if (column.present[step] === 1 && histogram !== undefined) {
        column.setHistogram(step, histogram);
      }
    }
  }

  #noteHistogram(): void {
    const { operator, position } = this.#node;
    this.#run.annotations.info(infoTexts.histogramIgnoredInAggregation(operator), position);
  }
}

/** k at every step, none below 0 or over the number of series; `undefined` when all are below 1. */
function limitsOf(parameters: Float64Array, seriesCount: number): Int32Array | undefined {
  const max = extreme(parameters, Math.max);
  const min = extreme(parameters, Math.min);
  if (max < 1) return undefined;
  if (parameters.some(Number.isNaN)) throw new EvaluationError('Parameter value is NaN');
  if (min <= -(2 ** 63)) throw new EvaluationError(`Scalar value ${formatG(min)} underflows int64`);
  if (max >= 2 ** 63 - 1024)
    throw new EvaluationError(`Scalar value ${formatG(max)} overflows int64`);
  return Int32Array.from(parameters, (k) => Math.max(0, Math.min(Math.trunc(k), seriesCount)));
}

function extreme(values: Float64Array, pick: (a: number, b: number) => number): number {
  return values.length === 0 ? 0 : values.reduce((a, b) => pick(a, b));
}
