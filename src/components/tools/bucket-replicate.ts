import { copyBlock } from '#/blocks/copy-block.ts';
import { MarkFilter, timePartition } from '#/blocks/filters.ts';
import type { BlockFilter } from '#/blocks/filters.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServerOptions } from '#/http/server.ts';
import { CorruptionError, messageOf } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { FETCH_CONCURRENCY, fetchBlocks } from './bucket-tool.ts';
import type { BucketTool } from './bucket-tool.ts';

export interface ReplicateConfig {
  readonly http: Omit<HttpServerOptions, 'routes'>;
  /** Where the blocks go; it is closed in the end. */
  readonly openTarget: (tool: BucketTool) => Promise<Bucket>;
  /** Milliseconds. */
  readonly resolutions: readonly number[];
  readonly compactionLevels: readonly number[];
  /** All have to match a block's external labels. */
  readonly matchers: readonly Matcher[];
  readonly minTime: TimeOrDuration;
  readonly maxTime: TimeOrDuration;
  /** These blocks whatever their labels and levels are, once; all others when there are none. */
  readonly ids: readonly string[];
  readonly singleRun: boolean;
  readonly ignoreMarkedForDeletion: boolean;
}

const INTERVAL_MS = 60_000;

/**
 * Copies the blocks that the configuration selects to another bucket, those with the oldest samples
 * first, once or every minute until it is told to stop.
 */
export async function replicateBlocks(config: ReplicateConfig, tool: BucketTool): Promise<number> {
  await using open = new AsyncDisposableStack();
  const { clock, log, probe, signal } = tool;
  const metrics = replicationMetrics(tool.metrics);
  const target = withReason(open.use(await config.openTarget(tool)), 'tools');
  open.use(await serveHttp({ ...config.http, routes: [] }, tool));
  probe.ready();
  if (config.singleRun || config.ids.length > 0) {
    return (await replicateOnce(config, target, tool, metrics)) ? 0 : 1;
  }
  while (!signal.aborted) {
    const start = clock.now();
    let result = 'error';
    try {
      if (await replicateOnce(config, target, tool, metrics)) result = 'success';
    } catch (thrown) {
      if (signal.aborted) break;
      log.error('replication failed; it goes on in a minute', { err: thrown });
    }
    metrics.runs.inc({ result });
    metrics.runSeconds.observe({ result }, (clock.now() - start) / 1000);
    await clock.sleep(INTERVAL_MS, signal).catch(() => undefined);
  }
  return 0;
}

/** Says whether all selected blocks are in the target; a block that is not whole stops no other. */
async function replicateOnce(
  config: ReplicateConfig,
  to: Bucket,
  tool: BucketTool,
  metrics: ReplicationMetrics,
): Promise<boolean> {
  const { bucket: from, log, signal } = tool;
  const { metas, partial } = await fetchBlocks(tool, filtersOf(config, tool), signal);
  for (const block of partial.keys()) log.info('block is not whole yet; left out', { block });
  const selected = metas
    .filter((meta) => isSelected(meta, config))
    // A compactor of the target must not see a gap that is filled later.
    .sort((a, b) => a.minTime - b.minTime);
  const progress = tool.progress('replicating', selected.length);
  let broken = 0;
  for (const { ulid: id } of selected) {
    try {
      const { objects, bytes } = await copyBlock({ from, to, id, signal });
      (objects === 0 ? metrics.alreadyReplicated : metrics.replicated).inc();
      metrics.objects.inc(objects);
      progress.step(id, { objects, bytes });
    } catch (thrown) {
      if (!(thrown instanceof CorruptionError)) throw thrown;
      log.error('block is not replicated', { block: id, err: messageOf(thrown) });
      broken++;
    }
  }
  progress.end();
  const missing = config.ids.filter((id) => !selected.some(({ ulid }) => ulid === id));
  for (const block of missing) log.error('there is no such block to replicate', { block });
  return broken + missing.length === 0;
}

function filtersOf(config: ReplicateConfig, { bucket, clock, log }: BucketTool): BlockFilter[] {
  const { minTime, maxTime, ignoreMarkedForDeletion } = config;
  const partition = timePartition(
    () => minTime(clock.now()),
    () => maxTime(clock.now()),
  );
  if (!ignoreMarkedForDeletion) return [partition];
  const concurrency = FETCH_CONCURRENCY;
  return [partition, MarkFilter.deletion({ bucket, concurrency, log, delayMs: 0, clock })];
}

/** Blocks of plain Prometheus, without external labels, are never copied. */
function isSelected({ ulid, thanos, compaction }: BlockMeta, config: ReplicateConfig): boolean {
  const labels = Labels.fromObject(thanos?.labels ?? {});
  if (labels.size === 0) return false;
  if (config.ids.length > 0) return config.ids.includes(ulid);
  return (
    matchesAll(config.matchers, labels) &&
    config.resolutions.includes(thanos?.downsample.resolution ?? 0) &&
    config.compactionLevels.includes(compaction.level)
  );
}

type ReplicationMetrics = ReturnType<typeof replicationMetrics>;

function replicationMetrics(metrics: Metrics) {
  const labels = ['result'] as const;
  const counter = (name: string, help: string) =>
    metrics.counter({ name: `thanos_replicate_${name}`, help });
  return {
    runs: metrics.counter({
      name: 'thanos_replicate_replication_runs_total',
      help: 'The number of replication runs split by success and error.',
      labels,
    }),
    runSeconds: metrics.histogram({
      name: 'thanos_replicate_replication_run_duration_seconds',
      help: 'The Duration of replication runs split by success and error.',
      labels,
      buckets: [0.1, 1, 10, 60, 600, 3600],
    }),
    alreadyReplicated: counter(
      'blocks_already_replicated_total',
      'Total number of blocks skipped due to already being replicated.',
    ),
    replicated: counter('blocks_replicated_total', 'Total number of blocks replicated.'),
    objects: counter('objects_replicated_total', 'Total number of objects replicated.'),
  };
}
