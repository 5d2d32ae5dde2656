import { WorkerPool } from '#/lib/worker-pool.ts';
import type { ShardAnswer, ShardTask } from '#/promql/shards.ts';

/** Threads for the parts of queries that can be shared out; they start with the first such part. */
export function queryWorkers(count: number): WorkerPool<ShardTask, ShardAnswer> {
  return new WorkerPool(new URL('./evaluate-shard.worker.ts', import.meta.url), count);
}
