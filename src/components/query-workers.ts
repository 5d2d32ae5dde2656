import { WorkerPool } from '#/lib/worker-pool.ts';
import type { ShardAnswer, ShardTask, Shards } from '#/promql/shards.ts';

/** Threads for the parts of queries that can be shared out; they start with the first such part. */
export function queryWorkers(count: number): WorkerPool<ShardTask, ShardAnswer> {
  return new WorkerPool(new URL('./evaluate-shard.worker.ts', import.meta.url), count);
}

/** Such threads, stopped with `open`, as an engine wants them; `undefined` if there are to be none. */
export function openShards(
  open: AsyncDisposableStack,
  { workers, ...how }: { readonly workers: number } & Omit<Shards, 'runner'>,
): Shards | undefined {
  return workers === 0 ? undefined : { ...how, runner: open.use(queryWorkers(workers)) };
}
