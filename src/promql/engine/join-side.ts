import { StepColumn } from '../step-column.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { columnBytes } from './query-run.ts';
import { readUnused } from './read-unused.ts';

/**
 * One side of a join. Series that several outputs need are kept after their first reading; all
 * others are read where they are needed.
 */
export class JoinSide {
  series: readonly OutputSeries[] = [];
  readonly #operator: Operator;
  readonly #steps: number;
  readonly #run: QueryRun;
  readonly #kept = new Map<number, StepColumn>();
  readonly #scratch: StepColumn;

  constructor(operator: Operator, steps: number, run: QueryRun) {
    this.#operator = operator;
    this.#steps = steps;
    this.#run = run;
    this.#scratch = new StepColumn(steps);
  }

  async open(): Promise<void> {
    this.series = await this.#operator.open();
  }

  /** Says which series will be asked for, in this order. */
  async readAhead(order: Iterable<number | undefined>): Promise<void> {
    const unread = new Set<number>();
    for (const index of order) {
      if (index !== undefined && !this.#kept.has(index)) unread.add(index);
    }
    await this.#operator.readAhead?.([...unread]);
  }

  /** Reads series that no output needs and that were not read for another reason. */
  async readUnused(indexes: Iterable<number>): Promise<void> {
    const unread = [...indexes].filter((index) => !this.#kept.has(index));
    await readUnused(this.#operator, unread, this.#steps, this.#run);
  }

  /** The column of a series, good until the next call. The caller does not change it. */
  column(index: number, isShared: boolean): StepColumn {
    const kept = this.#kept.get(index);
    if (kept !== undefined) return kept;
    if (!isShared) {
      this.#operator.read(index, this.#scratch);
      return this.#scratch;
    }
    this.#run.reserve(columnBytes(this.#steps));
    const column = new StepColumn(this.#steps);
    this.#operator.read(index, column);
    this.#kept.set(index, column);
    return column;
  }
}
