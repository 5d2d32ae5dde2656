import type { JoinNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import type { MatchGroup, MatchGroups } from './matching.ts';
import { groupByMatch } from './matching.ts';
import { MergedSeries } from './merged-series.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { readUnused } from './read-unused.ts';

/** `and`, `or`, `unless`: what stays depends on whether the other side has a partner at the step. */
export class SetOperator implements Operator {
  readonly #node: JoinNode;
  readonly #left: Operator;
  readonly #right: Operator;
  readonly #run: QueryRun;
  readonly #masks = new Map<MatchGroup, Uint8Array>();
  readonly #scratch: StepColumn;
  #leftCount = 0;
  #match: MatchGroups = { groups: [], ofLeft: [], ofRight: [] };
  #merged: MergedSeries | undefined;

  constructor(node: JoinNode, left: Operator, right: Operator, run: QueryRun) {
    this.#node = node;
    this.#left = left;
    this.#right = right;
    this.#run = run;
    this.#scratch = new StepColumn(node.grid.steps);
  }

  async open(): Promise<readonly OutputSeries[]> {
    const [left, right] = await Promise.all([this.#left.open(), this.#right.open()]);
    this.#leftCount = left.length;
    this.#match = groupByMatch(left, right, this.#node.matching);
    // With delayed names, equal labels may differ in whether their name goes.
    const all = this.#node.operator === 'or' ? [...left, ...right] : left;
    this.#merged = new MergedSeries(all);
    if (this.#node.operator !== 'or') {
      const { groups } = this.#match;
      const unused = groups
        .filter((group) => group.left.length === 0)
        .flatMap((group) => group.right);
      await readUnused(this.#right, unused, this.#node.grid.steps, this.#run);
    }
    return this.#merged.series;
  }

  async readAhead(order: readonly number[]): Promise<void> {
    const inputs = this.#merged!.inputsOf(order);
    const { ofLeft, ofRight } = this.#match;
    const left = inputs.filter((index) => index < this.#leftCount);
    const right = inputs
      .filter((index) => index >= this.#leftCount)
      .map((index) => index - this.#leftCount);
    // Masks are made of the side that is not put out.
    const masks =
      this.#node.operator === 'or'
        ? {
            left: membersOf(
              right.map((index) => ofRight[index]!),
              'left',
            ),
            right: [],
          }
        : {
            left: [],
            right: membersOf(
              left.map((index) => ofLeft[index]!),
              'right',
            ),
          };
    await Promise.all([
      this.#left.readAhead?.([...left, ...masks.left]),
      this.#right.readAhead?.([...right, ...masks.right]),
    ]);
  }

  read(index: number, into: StepColumn): void {
    this.#merged!.read(index, into, this.#readOutput);
  }

  readonly #readOutput = (index: number, into: StepColumn): void => {
    const { operator } = this.#node;
    if (operator === 'or') {
      if (index < this.#leftCount) {
        this.#left.read(index, into);
        return;
      }
      this.#right.read(index - this.#leftCount, into);
      keepWhere(into, this.#mask(this.#match.ofRight[index - this.#leftCount]!, 'left'), 0);
      return;
    }
    this.#left.read(index, into);
    const mask = this.#mask(this.#match.ofLeft[index]!, 'right');
    keepWhere(into, mask, operator === 'and' ? 1 : 0);
  };

  /** 1 at each step where a side of the group has any sample. Kept if the group needs it again. */
  #mask(group: MatchGroup, side: 'left' | 'right'): Uint8Array {
    const known = this.#masks.get(group);
    if (known !== undefined) return known;
    const { steps } = this.#node.grid;
    const mask = new Uint8Array(steps);
    const operator = side === 'left' ? this.#left : this.#right;
    for (const member of group[side]) {
      operator.read(member, this.#scratch);
      for (let step = 0; step < steps; step++) mask[step]! |= this.#scratch.present[step]!;
    }
    const readers = side === 'left' ? group.right : group.left;
    if (readers.length > 1) {
      this.#run.reserve(steps);
      this.#masks.set(group, mask);
    }
    return mask;
  }
}

function membersOf(groups: readonly MatchGroup[], side: 'left' | 'right'): number[] {
  return [...new Set(groups)].flatMap((group) => group[side]);
}

function keepWhere(column: StepColumn, mask: Uint8Array, wanted: 0 | 1): void {
  for (let step = 0; step < column.steps; step++) {
    if (mask[step] !== wanted) column.remove(step);
  }
}
