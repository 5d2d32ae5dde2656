import { ByteReader } from '#/lib/byte-reader.ts';
import { messageOf } from '#/lib/errors.ts';
import { MemoryBudget } from '#/lib/memory-budget.ts';
import { Labels } from '#/model/labels.ts';
import type { Queryable, Series, SeriesOpener } from '#/storage/queryable.ts';
import type { ShardAnswer, ShardTask } from '../shards.ts';
import { StepColumn } from '../step-column.ts';
import { operatorOf } from './operator-of.ts';
import type { Operator } from './operator.ts';
import { QueryRun } from './query-run.ts';
import type { SeriesNotes } from './shard-answer.ts';
import { ShardMemory } from './shard-memory.ts';

/**
 * Reads the series of a task through its part of the plan. Columns go into the shared memory; what
 * else a series does is told one by one, so that whoever reads the answer can do the same at the
 * point where it would have read the series itself. A failure ends that series only.
 */
export async function evaluateShard(task: ShardTask, opener: SeriesOpener): Promise<ShardAnswer> {
  const { plan, labels } = task;
  const { steps } = plan.grid;
  const memory = new ShardMemory(task.memory, { series: labels.length, steps });
  const damage: string[] = [];
  const budget = new MemoryBudget({ what: 'query', limitBytes: task.limitBytes });
  budget.reserve(task.usedBytes);
  const context = { budget, onDamage: (message: string) => void damage.push(message) };
  const open = opener(task.reading, context);
  const bytes = new ByteReader(memory.bytes);
  const series = labels.map((flat) => open(Labels.fromSortedFlat(flat), bytes));
  const run = newRun(task, series, budget);
  const operator = operatorOf(plan, run);
  await operator.open();
  const column = new StepColumn(steps);
  const notes: SeriesNotes[] = [];
  for (let index = 0; index < series.length && !memory.isCanceled; index++) {
    const failure = failureOfReading(operator, index, column);
    const { counted, touched, notes: annotations } = run.takeEffects();
    memory.writeColumn(index, column);
    memory.writeCounts(index, counted, touched);
    const { histograms } = column;
    const isPlain = histograms === undefined && annotations === undefined;
    if (isPlain && damage.length === 0 && failure === undefined) continue;
    notes.push({
      series: index,
      ...(histograms === undefined ? {} : { histograms }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(damage.length === 0 ? {} : { damage: damage.splice(0) }),
      ...(failure === undefined ? {} : { failure }),
    });
  }
  return { notes };
}

function newRun(task: ShardTask, series: readonly Series[], budget: MemoryBudget): QueryRun {
  const none = () => Promise.resolve({ names: [], warnings: [] });
  const queryable: Queryable = {
    select: () => Promise.resolve({ series, warnings: [] }),
    labelNames: none,
    labelValues: none,
  };
  return new QueryRun({
    queryable,
    context: { signal: new AbortController().signal, budget },
    // Who asked knows what else it holds.
    maxSamples: 0,
    flags: task.flags,
  });
}

function failureOfReading(
  operator: Operator,
  index: number,
  column: StepColumn,
): SeriesNotes['failure'] {
  try {
    operator.read(index, column);
    return undefined;
  } catch (thrown) {
    return { name: thrown instanceof Error ? thrown.name : 'Error', message: messageOf(thrown) };
  }
}
