import type { SeriesReading } from '#/storage/queryable.ts';
import type { RunFlags } from './engine/query-run.ts';
import type { SeriesNotes } from './engine/shard-answer.ts';
import type { PlanNode } from './planner.ts';

export { evaluateShard } from './engine/evaluate-shard.ts';

/**
 * Some series for the part of a plan that looks at each by itself: a message to a worker. All of it
 * is plain data that `structuredClone` copies, but for `memory`, which both sides share.
 */
export interface ShardTask {
  /** Its one selector asks for nothing, and its scalars are known. */
  readonly plan: PlanNode;
  readonly flags: RunFlags;
  /** How the series are read. */
  readonly reading: SeriesReading;
  /** `Labels.flat` of each series. */
  readonly labels: readonly (readonly string[])[];
  /** The series' bytes, and room for their columns; see engine/shard-memory.ts. */
  readonly memory: SharedArrayBuffer;
  /** The query's budget. */
  readonly limitBytes: number;
  readonly usedBytes: number;
}

/** What does not fit into the columns in `ShardTask.memory`. */
export interface ShardAnswer {
  /** Of the series that have any. */
  readonly notes: readonly SeriesNotes[];
}

/** Hands tasks to `evaluateShard` somewhere else. */
export interface ShardRunner {
  /** How many tasks run at once. */
  readonly size: number;
  /**
   * A task that still waits in line when `signal` aborts is dropped.
   * @throws UnavailableError if whoever had the task has died.
   */
  run(task: ShardTask, signal: AbortSignal): Promise<ShardAnswer>;
}

/** How the engine shares work out. */
export interface Shards {
  readonly runner: ShardRunner;
  /** Parts of a plan with less to do than this many samples or steps are evaluated where they are. */
  readonly minWork: number;
  /** So are those with less than this a series, which sending it would cost. Default: 0. */
  readonly minSeriesWork?: number;
  /** A task ends with the series that takes it over so many bytes, columns included. Default: 1 MiB. */
  readonly batchBytes?: number;
}

/** What pays: some 20 ms of work, and more of a series than the few samples of one instant. */
export const worthSharding = { minWork: 1_000_000, minSeriesWork: 2000 } as const;
