import { StepColumn } from '../step-column.ts';
import type { Operator } from './operator.ts';
import type { QueryRun } from './query-run.ts';

/**
 * Reads series that no output needs. Prometheus evaluates the operands of everything in full, so
 * their warnings, infos and failures are part of the answer.
 */
export async function readUnused(
  input: Operator,
  indexes: Iterable<number>,
  steps: number,
  run: QueryRun,
): Promise<void> {
  let column: StepColumn | undefined;
  for (const index of indexes) {
    column ??= new StepColumn(steps);
    input.read(index, column);
    run.spend(steps);
    if (run.isDue) await run.pause();
  }
}
