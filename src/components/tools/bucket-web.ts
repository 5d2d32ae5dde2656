import { blocksRoutes } from '#/api/blocks.ts';
import type { BlocksApi } from '#/api/blocks.ts';
import { withoutCors } from '#/api/envelope.ts';
import { statusRoutes } from '#/api/status.ts';
import type { StatusApi } from '#/api/status.ts';
import { bucketUiRoutes } from '#/api/ui.ts';
import { BlockFetcher } from '#/blocks/fetcher.ts';
import { DeduplicateFilter, labelShard, timePartition } from '#/blocks/filters.ts';
import { BlocksOnDemand, seenBlocks } from '#/blocks/seen-blocks.ts';
import { redirect, trimPrefix, underPrefix } from '#/http/prefix.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServerOptions, Route } from '#/http/server.ts';
import type { Relabeling } from '#/model/relabel.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import type { BlockViewerConfig } from '../compact-web.ts';
import type { BucketTool } from './bucket-tool.ts';
import { FETCH_CONCURRENCY } from './bucket-tool.ts';

export interface BucketWebConfig extends BlockViewerConfig {
  readonly http: Omit<HttpServerOptions, 'routes'>;
  readonly minTime: TimeOrDuration;
  readonly maxTime: TimeOrDuration;
  /** Which blocks, by their external labels; all when absent. */
  readonly selector?: Relabeling;
  readonly status: StatusApi;
}

/**
 * Serves the viewer of a bucket's blocks, and Thanos's API for them, until `tool.signal` aborts. The
 * bucket is looked at when somebody asks and the last look is older than `maxAgeMs`.
 */
export async function serveBlockViewer(config: BucketWebConfig, tool: BucketTool): Promise<number> {
  const { bucket, clock, log, probe, signal } = tool;
  const { label, adminOperations, maxAgeMs, timeoutMs } = config;
  const viewer = new BlockFetcher({
    ...tool,
    listing: 'concurrent',
    concurrency: FETCH_CONCURRENCY,
  }).view([
    timePartition(
      () => config.minTime(clock.now()),
      () => config.maxTime(clock.now()),
    ),
    ...(config.selector === undefined ? [] : [labelShard(config.selector)]),
    new DeduplicateFilter(),
  ]);
  const look = async (of: AbortSignal) => seenBlocks(await viewer.fetch(of));
  const everything = new BlocksOnDemand({ look, clock, maxAgeMs, timeoutMs });
  const blocks: BlocksApi = {
    label,
    adminOperations,
    seen: () => everything.seen(),
    bucket,
    clock,
    log,
  };
  const routes = [
    ...blocksRoutes(blocks),
    ...statusRoutes(config.status),
    ...bucketUiRoutes(blocks),
  ];
  await using _ = await serveHttp({ ...config.http, routes: prefixed(routes, config) }, tool);
  probe.ready();
  const stopped = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => stopped.resolve(), { once: true });
  if (signal.aborted) stopped.resolve();
  await stopped.promise;
  probe.notReady('stopping');
  return 0;
}

/** Below the prefix alone, with a way there from the root, as Thanos does it. */
function prefixed(routes: readonly Route[], { routePrefix, cors }: BucketWebConfig): Route[] {
  const prefix = trimPrefix(routePrefix);
  const all =
    prefix === '' ? routes : [redirect('/', `${prefix}/`), ...underPrefix(prefix, routes)];
  return cors ? [...all] : withoutCors(all);
}
