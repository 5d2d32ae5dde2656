import { warningTexts } from '../annotation-texts.ts';
import { EvaluationError } from '../evaluation-error.ts';
import type { AggregateNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import { groupSeries } from './grouping.ts';
import { sampleOffset } from './label-hash.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { readUnused } from './read-unused.ts';
import { readScalar } from './scalar.ts';
import { StepHeaps } from './step-heaps.ts';

/** A value and a number. */
const HEAP_ENTRY_BYTES = 12;

/**
 * `limit_ratio(r, v)`: about the share r of the series, always the same ones; a negative r takes
 * those that 1 + r leaves over.
 */
export class LimitRatioOperator implements Operator {
  readonly #node: AggregateNode;
  readonly #input: Operator;
  readonly #parameter: Operator;
  readonly #run: QueryRun;
  #ratios: Float64Array = new Float64Array(0);
  /** Of the output: which series of the input they are, and where they are sampled. */
  #members: readonly number[] = [];
  #offsets: readonly number[] = [];

  constructor(node: AggregateNode, input: Operator, parameter: Operator, run: QueryRun) {
    this.#node = node;
    this.#input = input;
    this.#parameter = parameter;
    this.#run = run;
  }

  async open(): Promise<readonly OutputSeries[]> {
    const [series] = await Promise.all([this.#input.open(), this.#parameter.open()]);
    this.#ratios = readScalar(this.#parameter, this.#node.grid.steps);
    if (this.#ratios.every((ratio) => ratio === 0)) {
      await readUnused(this.#input, [...series.keys()], this.#node.grid.steps, this.#run);
      return [];
    }
    this.#checkRatios();
    this.#offsets = series.map(({ labels }) => sampleOffset(labels));
    this.#members =
      this.#node.grid.steps === 1 ? await this.#inHeapOrder(series) : [...series.keys()];
    return this.#members.map((member) => series[member]!);
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#input.readAhead?.(order.map((index) => this.#members[index]!));
  }

  read(index: number, into: StepColumn): void {
    this.#readMember(this.#members[index]!, into);
  }

  /**
   * The order of an instant query: group by group what was taken, as a heap by value has it. What adds
   * up floats above depends on it in the last digits.
   */
  async #inHeapOrder(series: readonly OutputSeries[]): Promise<readonly number[]> {
    const groups = groupSeries(series, this.#node);
    await this.#input.readAhead?.(groups.flatMap(({ members }) => members));
    const column = new StepColumn(1);
    const order: number[] = [];
    for (const { members } of groups) {
      const bytes = members.length * HEAP_ENTRY_BYTES;
      this.#run.reserve(bytes);
      const heap = new StepHeaps(1, members.length, false);
      const all = Int32Array.of(members.length);
      for (const [ordinal, member] of members.entries()) {
        this.#readMember(member, column);
        heap.addFirst(column, ordinal, all);
        this.#run.spend(1);
        if (this.#run.isDue) await this.#run.pause();
      }
      for (const { ordinal } of heap.at(0, false)) order.push(members[ordinal]!);
      this.#run.release(bytes);
    }
    return order;
  }

  #readMember(member: number, into: StepColumn): void {
    this.#input.read(member, into);
    const offset = this.#offsets[member]!;
    for (let step = 0; step < into.steps; step++) {
      if (!isSampled(offset, this.#ratios[step]!)) into.remove(step);
    }
  }

  #checkRatios(): void {
    if (this.#ratios.some(Number.isNaN)) throw new EvaluationError('Ratio value is NaN');
    const max = this.#ratios.reduce((a, b) => Math.max(a, b));
    const min = this.#ratios.reduce((a, b) => Math.min(a, b));
    const { parameter, position: speaker } = this.#node;
    const position = { ...(parameter?.position ?? speaker), speaker };
    const { annotations } = this.#run;
    if (max > 1) annotations.warn(warningTexts.invalidRatio(max, 1), position);
    if (min < -1) annotations.warn(warningTexts.invalidRatio(min, -1), position);
  }
}

function isSampled(offset: number, ratio: number): boolean {
  if (ratio >= 0) return ratio !== 0 && offset < Math.min(1, ratio);
  return offset >= 1 + Math.max(-1, ratio);
}
