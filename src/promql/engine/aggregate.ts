import type { AggregateNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import type { Accumulator } from './accumulator.ts';
import type { Group } from './grouping.ts';
import { groupSeries } from './grouping.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { columnBytes, samplesOf } from './query-run.ts';

/** Groups of more series are folded while opening, where others get their turn in between. */
const LARGEST_LAZY_GROUP = 32;

export interface AggregateParts {
  readonly node: AggregateNode;
  readonly input: Operator;
  /** `quantile`'s q. */
  readonly parameter: Operator | undefined;
  /** Makes the accumulator when input and parameter are open. */
  readonly accumulator: () => Accumulator;
}

/**
 * `sum`, `avg`, `quantile` …: one series a group. One accumulator, reused, takes in a group's series
 * one after another. If every group is small, that happens when the group is read and nothing is
 * kept; else all groups are folded at opening, and a column each stays.
 */
export class AggregateOperator implements Operator {
  readonly #parts: AggregateParts;
  readonly #run: QueryRun;
  readonly #member: StepColumn;
  #input: readonly OutputSeries[] = [];
  #groups: readonly Group[] = [];
  #accumulator: Accumulator | undefined;
  #folded: StepColumn[] | undefined;

  constructor(parts: AggregateParts, run: QueryRun) {
    this.#parts = parts;
    this.#run = run;
    this.#member = new StepColumn(parts.node.grid.steps);
  }

  async open(): Promise<readonly OutputSeries[]> {
    const { input, parameter, node, accumulator } = this.#parts;
    const [series] = await Promise.all([input.open(), parameter?.open()]);
    this.#input = series;
    this.#groups = groupSeries(series, node);
    this.#accumulator = accumulator();
    if (this.#groups.some(({ members }) => members.length > LARGEST_LAZY_GROUP)) {
      this.#folded = await this.#foldAll();
    }
    return this.#groups.map(({ labels, dropName }) => ({ labels, dropName }));
  }

  async readAhead(order: readonly number[]): Promise<void> {
    if (this.#folded !== undefined) return;
    await this.#parts.input.readAhead?.(order.flatMap((index) => this.#groups[index]!.members));
  }

  read(index: number, into: StepColumn): void {
    if (this.#folded !== undefined) {
      into.copyFrom(this.#folded[index]!);
      return;
    }
    this.#accumulator!.reset();
    for (const member of this.#groups[index]!.members) this.#add(member);
    this.#accumulator!.finish(into);
  }

  async #foldAll(): Promise<StepColumn[]> {
    const { steps } = this.#parts.node.grid;
    const columns: StepColumn[] = [];
    await this.#parts.input.readAhead?.(this.#groups.flatMap(({ members }) => members));
    for (const { members } of this.#groups) {
      this.#run.reserve(columnBytes(steps));
      const column = new StepColumn(steps);
      this.#accumulator!.reset();
      for (const member of members) {
        this.#add(member);
        if (this.#run.isDue) await this.#run.pause();
      }
      this.#accumulator!.finish(column);
      this.#run.holdSamples(samplesOf(column));
      columns.push(column);
    }
    return columns;
  }

  #add(member: number): void {
    this.#parts.input.read(member, this.#member);
    this.#accumulator!.add(this.#member, this.#input[member]!);
    this.#run.spend(this.#member.steps / 4);
  }
}
