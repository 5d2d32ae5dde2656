import { cachingBucket } from '#/blocks/caching-bucket.ts';
import type { CachingBucketConfig } from '#/blocks/caching-bucket-config.ts';
import { BucketIndexReader } from '#/blocks/bucket-index-reader.ts';
import { DeletionView } from '#/blocks/deletion-view.ts';
import { BlockFetcher } from '#/blocks/fetcher.ts';
import type { FetcherOptions } from '#/blocks/fetcher.ts';
import {
  DeduplicateFilter,
  MarkFilter,
  consistencyDelay,
  labelShard,
  timePartition,
} from '#/blocks/filters.ts';
import type { BlockFilter } from '#/blocks/filters.ts';
import { showLru } from '#/cache/lru-metrics.ts';
import { serveGrpc } from '#/grpc/server.ts';
import type { GrpcServerOptions } from '#/grpc/server.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServerOptions } from '#/http/server.ts';
import { every } from '#/lib/clock.ts';
import { Gate } from '#/lib/gate.ts';
import { ProcessMemory } from '#/lib/process-memory.ts';
import { untilSuccess } from '#/lib/retry.ts';
import { together } from '#/lib/together.ts';
import type { Relabeling } from '#/model/relabel.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { BucketBlocks } from '#/storeapi/bucket-blocks.ts';
import { BucketStore } from '#/storeapi/bucket-store.ts';
import type { RequestLimits } from '#/storeapi/bucket-store.ts';
import { indexCacheOver, showIndexCache } from '#/storeapi/index-cache.ts';
import type { IndexCache, IndexCacheConfig } from '#/storeapi/index-cache.ts';
import { infoService, storeService } from '#/storeapi/service.ts';
import { openCache } from './caches.ts';
import type { Runtime } from './runtime.ts';

export interface StoreConfig {
  readonly http: Omit<HttpServerOptions, 'routes'>;
  readonly grpc: Omit<GrpcServerOptions, 'services'>;
  readonly openBucket: (runtime: Runtime) => Promise<Bucket>;
  /** For index-headers and metas. */
  readonly dataDirectory: string;
  readonly indexCache: IndexCacheConfig;
  /** What is kept of the bucket itself; nothing when absent. */
  readonly cachingBucket?: CachingBucketConfig & {
    /** Tells this bucket from others whose entries are in the same cache. */
    readonly identity: string;
  };
  readonly headerCacheBytes: number;
  readonly limits: RequestLimits;
  /** Series calls that run at once; 0 for no bound. */
  readonly seriesConcurrency: number;
  /** Bytes that calls together may hold. */
  readonly memoryBytes: number;
  readonly sync: {
    readonly intervalMs: number;
    readonly listing: 'concurrent' | 'recursive' | 'bucket-index';
    /** Blocks that are opened, and metas that are read, at once. */
    readonly blockConcurrency: number;
    readonly metaConcurrency: number;
    readonly eagerHeaders: boolean;
    /** How often deletions of series are looked for. */
    readonly deletionIntervalMs: number;
  };
  readonly filters: {
    readonly minTime: TimeOrDuration;
    readonly maxTime: TimeOrDuration;
    readonly consistencyDelayMs: number;
    readonly ignoreDeletionMarksDelayMs: number;
    /** Which blocks, by their external labels; all when absent. */
    readonly selector?: Relabeling;
  };
}

const FIRST_SYNC_RETRY_MS = 10_000;

/** Serves the blocks in a bucket over StoreAPI until `runtime.signal` aborts. */
export async function runStore(config: StoreConfig, runtime: Runtime): Promise<void> {
  const { clock, disk, log, metrics, probe, signal } = runtime;
  await using open = new AsyncDisposableStack();
  open.use(await serveHttp({ ...config.http, routes: [] }, runtime));
  const bucket = await openCachedBucket(config, open, runtime);
  const viewer = new BlockFetcher({
    bucket,
    listing: listingOf(config, bucket, runtime),
    concurrency: config.sync.metaConcurrency,
    cacheDirectory: config.dataDirectory,
    clock,
    disk,
    log,
    metrics,
  }).view(filtersOf(config, bucket, runtime));
  const blocks = new BucketBlocks({
    find: async (of) => {
      const { metas, failures } = await viewer.fetch(of);
      return { metas: [...metas.values()], failures };
    },
    bucket,
    disk,
    directory: config.dataDirectory,
    indexCache: await openIndexCache(config.indexCache, open, runtime),
    headerCacheBytes: config.headerCacheBytes,
    eagerHeaders: config.sync.eagerHeaders,
    concurrency: config.sync.blockConcurrency,
    log,
    metrics,
  });
  const deletions = new DeletionView({
    bucket,
    maxAgeMs: config.sync.deletionIntervalMs * MISSED_LOOKS,
    clock,
    log,
    metrics,
  });
  await firstSync(blocks, deletions, runtime);
  const { minTime, maxTime } = config.filters;
  const store = new BucketStore({
    blocks,
    deletions,
    limits: config.limits,
    memory: memoryOf(config, runtime),
    gate: new Gate(config.seriesConcurrency),
    timeRange: () => ({ mint: minTime(clock.now()), maxt: maxTime(clock.now()) }),
    log,
    metrics,
  });
  const info = infoService({ component: 'store', store, isReady: () => probe.isReady });
  open.use(await serveGrpc({ ...config.grpc, services: [storeService(store), info] }, runtime));
  open.defer(() => probe.notReady('stopping'));
  probe.ready();
  const follow = (intervalMs: number, what: string, sync: (of: AbortSignal) => Promise<void>) => {
    return (followed: AbortSignal) =>
      every(clock, intervalMs, followed, async (of) => {
        try {
          await sync(of);
        } catch (thrown) {
          if (of.aborted) return;
          log.warn(what, { err: thrown });
        }
      });
  };
  await together(signal, [
    follow(config.sync.intervalMs, 'cannot look into the bucket; serving what is known', (of) =>
      blocks.sync(of),
    ),
    follow(
      config.sync.deletionIntervalMs,
      'cannot look for deletions of series; honouring those that are known',
      (of) => deletions.sync(of),
    ),
  ]);
}

/** After so many looks for deletions that failed, answers say that some may be missing. */
const MISSED_LOOKS = 3;

/** A younger index than this is the view of a compactor that is alive. */
const INDEX_MAX_AGE_MS = 3_600_000;

function listingOf(
  { sync: { listing } }: StoreConfig,
  bucket: Bucket,
  { clock, log, metrics }: Runtime,
): FetcherOptions['listing'] {
  if (listing !== 'bucket-index') return listing;
  return new BucketIndexReader({ bucket, maxAgeMs: INDEX_MAX_AGE_MS, clock, log, metrics });
}

async function openCachedBucket(
  { openBucket, cachingBucket: caching }: StoreConfig,
  open: AsyncDisposableStack,
  runtime: Runtime,
): Promise<Bucket> {
  const bucket = open.use(await openBucket(runtime));
  if (caching === undefined) return bucket;
  const { backend, settings, identity } = caching;
  const purpose = { name: 'caching-bucket', ttlMs: settings.subrangeTtlMs };
  const cache = open.use(await openCache(backend, purpose, runtime));
  if (cache.lru !== undefined) showLru(purpose.name, cache.lru, runtime.metrics);
  const { clock, metrics } = runtime;
  return cachingBucket({ bucket, cache: cache.bytes, identity, settings, clock, metrics });
}

async function openIndexCache(
  { backend, items, ttlMs }: IndexCacheConfig,
  open: AsyncDisposableStack,
  runtime: Runtime,
): Promise<IndexCache> {
  const cache = open.use(await openCache(backend, { name: 'index-cache', ttlMs }, runtime));
  if (cache.lru !== undefined) showIndexCache(cache.lru, runtime.metrics);
  return indexCacheOver(cache.bytes, items, runtime);
}

function memoryOf({ memoryBytes }: StoreConfig, { memory, metrics }: Runtime): ProcessMemory {
  const held = new ProcessMemory({
    what: 'all calls together',
    limitBytes: memoryBytes,
    flag: '--store.memory-limit',
    ...(memory === undefined ? {} : { probe: memory }),
  });
  metrics.gaugeFrom(
    {
      name: 'hindsight_bucket_store_memory_bytes',
      help: 'Bytes that running calls have reserved.',
    },
    () => held.usedBytes,
  );
  return held;
}

/** In Thanos's order. */
function filtersOf(
  { filters, sync }: StoreConfig,
  bucket: Bucket,
  { clock, log, metrics }: Runtime,
): BlockFilter[] {
  const { minTime, maxTime, selector } = filters;
  return [
    timePartition(
      () => minTime(clock.now()),
      () => maxTime(clock.now()),
    ),
    ...(selector === undefined ? [] : [labelShard(selector)]),
    consistencyDelay(filters.consistencyDelayMs, { clock, metrics }),
    MarkFilter.deletion({
      bucket,
      concurrency: sync.metaConcurrency,
      delayMs: filters.ignoreDeletionMarksDelayMs,
      clock,
      log,
    }),
    new DeduplicateFilter(),
  ];
}

/**
 * However long it takes: restarts would ask even more of a bucket that is out of reach. What was deleted is
 * known before anything is answered.
 */
function firstSync(
  blocks: BucketBlocks,
  deletions: DeletionView,
  { clock, log, signal }: Runtime,
): Promise<void> {
  const failed = (err: unknown) => {
    log.warn('cannot look into the bucket yet, so nothing is served; trying again', { err });
  };
  const sync = async () => {
    await deletions.sync(signal);
    await blocks.sync(signal);
  };
  return untilSuccess(clock, FIRST_SYNC_RETRY_MS, signal, sync, failed);
}
