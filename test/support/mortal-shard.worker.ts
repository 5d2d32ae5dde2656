import { serveRequests } from '#/lib/worker-pool.ts';
import { evaluateShard } from '#/promql/shards.ts';
import type { ShardTask } from '#/promql/shards.ts';
import { openSeries } from '#/query/open-series.ts';

/** A worker that series of the metric `poison` kill, for tests. */
serveRequests((task: ShardTask) => {
  if (task.labels.some((flat) => flat.includes('poison'))) process.exit(9);
  return evaluateShard(task, openSeries);
});
