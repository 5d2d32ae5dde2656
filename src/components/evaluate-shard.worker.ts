import { serveRequests } from '#/lib/worker-pool.ts';
import { evaluateShard } from '#/promql/shards.ts';
import type { ShardTask } from '#/promql/shards.ts';
import { openSeries } from '#/query/open-series.ts';

serveRequests((task: ShardTask) => evaluateShard(task, openSeries));
