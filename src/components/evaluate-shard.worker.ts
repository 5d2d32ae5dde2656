import { serveRequests } from '#/lib/worker-pool.ts';
import { evaluateShard } from '#/promql/shards.ts';
import type { ShardTask } from '#/promql/shards.ts';
import { openSeries } from '#/query/open-series.ts';
import { openBlockSeries } from '#/tsdb/block-queryable.ts';

serveRequests((task: ShardTask) => {
  return evaluateShard(task, task.reading.kind === 'block' ? openBlockSeries : openSeries);
});
