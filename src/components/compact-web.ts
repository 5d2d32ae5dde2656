import { blocksRoutes } from '#/api/blocks.ts';
import type { BlocksApi } from '#/api/blocks.ts';
import { compactRoutes } from '#/api/compact.ts';
import { withoutCors } from '#/api/envelope.ts';
import { seriesDeletionRoutes } from '#/api/series-deletions.ts';
import type { SeriesDeletionApi } from '#/api/series-deletions.ts';
import { statusRoutes } from '#/api/status.ts';
import type { StatusApi } from '#/api/status.ts';
import { compactUiRoutes } from '#/api/ui.ts';
import type { BlockFetcher } from '#/blocks/fetcher.ts';
import { BlocksOnDemand, seenBlocks } from '#/blocks/seen-blocks.ts';
import type { BucketView } from '#/compact/bucket-view.ts';
import type { StatusSource } from '#/compact/status.ts';
import { trimPrefix, underPrefix } from '#/http/prefix.ts';
import type { Route } from '#/http/server.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { Runtime } from './runtime.ts';

/** A viewer of blocks and what may be done there. */
export interface BlockViewerConfig {
  /** The external label that viewers tell streams apart by; `''` for all labels. */
  readonly label: string;
  /** Whether blocks may be marked through the API. */
  readonly adminOperations: boolean;
  readonly cors: boolean;
  /** Where the page and the API are served; `''` for the root. */
  readonly routePrefix: string;
  /** How old what is shown of a whole bucket may be, and how long a look may take. */
  readonly maxAgeMs: number;
  readonly timeoutMs: number;
}

export interface CompactWebConfig extends BlockViewerConfig {
  readonly status: StatusApi;
}

/** The compactor's page, and its API with Thanos's and with how it stands. */
export function compactWebRoutes(
  config: CompactWebConfig | undefined,
  parts: {
    readonly source: StatusSource;
    readonly view: BucketView;
    readonly fetcher: BlockFetcher;
    readonly bucket: Bucket;
    readonly deletions: SeriesDeletionApi;
  },
  { clock, log }: Pick<Runtime, 'clock' | 'log'>,
): Route[] {
  if (config === undefined) return [];
  const { source, view, fetcher, bucket } = parts;
  const { label, adminOperations, maxAgeMs, timeoutMs } = config;
  const look = async (signal: AbortSignal) => seenBlocks(await fetcher.fetch(signal));
  const everything = new BlocksOnDemand({ look, clock, maxAgeMs, timeoutMs });
  const blocks: BlocksApi = {
    label,
    adminOperations,
    seen: (name) => (name === 'loaded' ? Promise.resolve(view.seen) : everything.seen()),
    bucket,
    clock,
    log,
  };
  const routes = [
    ...blocksRoutes(blocks),
    ...compactRoutes(source),
    ...seriesDeletionRoutes(parts.deletions),
    ...statusRoutes(config.status),
    ...compactUiRoutes(source, blocks),
  ];
  // A prefix of routes means nothing to Thanos's compactor, so the root has them in any case.
  const { routePrefix, cors } = config;
  const all = [
    ...routes,
    ...(trimPrefix(routePrefix) === '' ? [] : underPrefix(routePrefix, routes)),
  ];
  return cors ? all : withoutCors(all);
}
