import { StepColumn } from '../step-column.ts';
import type { Operator } from './operator.ts';
import type { QueryRun } from './query-run.ts';

/**
 * Reads series that no output needs. Prometheus evaluates the operands of everything in full, so
 * their warnings, infos and failures are part of the answer.
 */
export async function readUnused(
  input: Operator,
  indexes: readonly number[],
  steps: number,
  run: QueryRun,
): Promise<void> {
  if (indexes.length === 0) return;
  await input.readAhead?.(indexes);
  const column = new StepColumn(steps);
  for (const index of indexes) {
    input.read(index, column);
    run.spend(steps);
    if (run.isDue) await run.pause();
  }
}
