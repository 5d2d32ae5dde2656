import { runQuery } from '#/components/query.ts';
import type { QueryConfig } from '#/components/query.ts';
import { runStore } from '#/components/store.ts';
import type { StoreConfig } from '#/components/store.ts';
import type { Runtime } from '#/components/runtime.ts';
import { serveGrpc } from '#/grpc/server.ts';
import type { Service } from '#/grpc/method.ts';
import { systemClock } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { nodeNet } from '#/lib/net.ts';
import { systemRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { parseEndpointConfig } from '#/query/endpoint-config.ts';
import { inMemoryIndexCache } from '#/storeapi/index-cache.ts';
import { infoService, storeService } from '#/storeapi/service.ts';
import type { Store, StoreInfo } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { eventually, freePort } from './servers.ts';

/** A component in this process, from its start to its end. */
export interface Running extends AsyncDisposable {
  readonly log: MemoryLog;
  readonly metrics: Metrics;
  readonly probe: Probe;
  /** Ends when the component does. */
  readonly done: Promise<void>;
}

function start(run: (runtime: Runtime) => Promise<void>, clock: Clock = systemClock): Running {
  const stop = new AbortController();
  const [log, metrics, probe] = [new MemoryLog(), new Metrics(), new Probe()];
  const done = run({
    clock,
    random: systemRandom,
    disk: new MemoryDisk(),
    net: nodeNet,
    log,
    metrics,
    probe,
    signal: stop.signal,
  });
  done.catch(() => undefined);
  return {
    log,
    metrics,
    probe,
    done,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await done.catch(() => undefined);
    },
  };
}

function untilReady({ probe }: Running): Promise<true> {
  return eventually('the component is ready', async () => (probe.isReady ? true : undefined));
}

export interface RunningStore extends Running {
  readonly grpc: string;
}

/** Without them a store keeps nothing. */
export type StoreCaches = Pick<StoreConfig, 'indexCache' | 'cachingBucket'>;

/** A store gateway over `bucket`, without waiting for it to be ready. */
export async function launchStore(
  bucket: Bucket,
  sync: Partial<StoreConfig['sync']> = {},
  { clock = systemClock, caches = {} }: { clock?: Clock; caches?: Partial<StoreCaches> } = {},
): Promise<RunningStore> {
  const grpc = `127.0.0.1:${await freePort()}`;
  const run = (runtime: Runtime) =>
    runStore(
      {
        http: { address: '127.0.0.1:0', gracePeriodMs: 100 },
        grpc: { address: grpc, gracePeriodMs: 100 },
        openBucket: () => Promise.resolve(bucket),
        dataDirectory: '/data',
        indexCache: inMemoryIndexCache(1),
        headerCacheBytes: 1e8,
        limits: { series: 0, samples: 0, bytes: 0 },
        memoryBytes: 256e6,
        seriesConcurrency: 20,
        sync: {
          intervalMs: 200,
          listing: 'concurrent',
          blockConcurrency: 4,
          metaConcurrency: 4,
          eagerHeaders: false,
          deletionIntervalMs: 30_000,
          ...sync,
        },
        filters: {
          minTime: () => MIN_TIME,
          maxTime: () => MAX_TIME,
          consistencyDelayMs: 0,
          ignoreDeletionMarksDelayMs: 0,
        },
        ...caches,
      },
      runtime,
    );
  return { ...start(run, clock), grpc };
}

export async function startStore(
  bucket: Bucket,
  sync: Partial<StoreConfig['sync']> = {},
  caches: Partial<StoreCaches> = {},
): Promise<RunningStore> {
  const store = await launchStore(bucket, sync, { caches });
  await untilReady(store);
  return store;
}

/** What the query API answers. */
export interface Answer {
  readonly status: number;
  readonly cacheControl: string | null;
  readonly body: {
    readonly status: string;
    readonly error?: string;
    readonly errorType?: string;
    readonly data?: { readonly result: readonly { readonly metric: Record<string, string> }[] };
    readonly warnings?: readonly string[];
    readonly missing?: readonly { readonly address: string; readonly reasons: readonly string[] }[];
  };
}

export interface RunningQuery extends Running {
  readonly url: string;
  readonly grpc: string;
  /** An instant query. */
  query(params: Readonly<Record<string, string>>): Promise<Answer>;
}

type QueryOverrides = Partial<QueryConfig['query']> & { readonly responseTimeoutMs?: number };

/** A querier over the endpoints, which it has asked for their info. */
export async function startQuery(
  endpoints: readonly string[],
  { responseTimeoutMs = 0, ...overrides }: QueryOverrides = {},
): Promise<RunningQuery> {
  const [http, grpc] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const client = { tls: undefined, compression: 'none' } as const;
  const config = parseEndpointConfig('test', '{}', {
    endpoints,
    groups: [],
    strict: [],
    strictGroups: [],
    client,
  });
  const running = start((runtime) =>
    runQuery(
      {
        http: { address: http, gracePeriodMs: 100 },
        grpc: { address: grpc, gracePeriodMs: 100 },
        endpoints: {
          config: () => config,
          files: [],
          fileIntervalMs: 60_000,
          dnsIntervalMs: 60_000,
          infoTimeoutMs: 1000,
          unhealthyTimeoutMs: 300_000,
          connectionLabels: ['store_type'],
          responseTimeoutMs,
        },
        selectorLabels: Labels.empty,
        query: {
          timeoutMs: 20_000,
          maxConcurrent: 20,
          maxConcurrentSelects: 4,
          memoryBytes: 64e6,
          totalMemoryBytes: 256e6,
          maxSamples: 0,
          maxSteps: 11_000,
          slowQueryMs: 0,
          maxSeries: 0,
          workers: 0,
          lookbackMs: 300_000,
          dynamicLookback: true,
          defaultStepMs: 1000,
          evaluationIntervalMs: 60_000,
          features: {},
          replicaLabels: ['replica'],
          algorithm: 'sticky',
          partialResponse: true,
          autoDownsampling: false,
          metadataRangeMs: 0,
          instantMaxResolutionMs: 0,
          ...overrides,
        },
        tenancy: { header: 'THANOS-TENANT', defaultTenant: 'default-tenant' },
        status: { version: 'test', startedAtMs: 0, flags: {} },
      },
      runtime,
    ),
  );
  await untilReady(running);
  const url = `http://${http}`;
  const query = async (params: Readonly<Record<string, string>>): Promise<Answer> => {
    const reply = await fetch(`${url}/api/v1/query?${new URLSearchParams(params).toString()}`);
    const body = (await reply.json()) as Answer['body'];
    return { status: reply.status, cacheControl: reply.headers.get('cache-control'), body };
  };
  return { ...running, url, grpc, query };
}

/** What a fake endpoint says of itself unless a test wants otherwise. */
export const peerInfo: StoreInfo = {
  labelSets: [],
  mint: MIN_TIME,
  maxt: MAX_TIME,
  tsdbInfos: [],
  supportsSharding: true,
  supportsWithoutReplicaLabels: true,
};

export interface Peer extends AsyncDisposable {
  readonly address: string;
}

/** A gRPC endpoint that serves `store`, or `service` in its place. */
export async function startPeer(
  store: Store,
  service: Service = storeService(store),
): Promise<Peer> {
  const info = infoService({ component: 'store', store, isReady: () => true });
  const server = await serveGrpc(
    { address: '127.0.0.1:0', services: [service, info], gracePeriodMs: 0 },
    {
      net: nodeNet,
      clock: systemClock,
      log: new MemoryLog(),
      metrics: new Metrics(),
      probe: new Probe(),
    },
  );
  return server;
}

export const BLOCK_MS = 7_200_000;

/** Uploads a block of `up` for two hours, a sample a minute, whose external label `zone` tells it apart. */
export async function uploadBlock(bucket: Bucket, zone: string, series = 20): Promise<BlockMeta> {
  const disk = new MemoryDisk();
  const builder = new BlockBuilder();
  for (let i = 0; i < series; i++) {
    const labels = Labels.fromObject({ __name__: 'up', instance: String(i).padStart(3, '0') });
    const samples = builder.samples(labels);
    for (let time = 0; time < BLOCK_MS; time += 60_000) samples.pushFloat(time, i);
  }
  const ulid = newUlid(BLOCK_MS, systemRandom);
  const meta = await builder.write(disk, '/blocks', {
    ulid,
    minTime: 0,
    maxTime: BLOCK_MS,
    thanos: {
      labels: { zone },
      downsample: { resolution: 0 },
      source: 'test',
      segmentFiles: ['000001'],
      files: [],
      rewrites: [],
      indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
      uploadTime: '',
    },
  });
  for (const name of ['chunks/000001', 'index', 'meta.json']) {
    await bucket.upload(`${ulid}/${name}`, await disk.read(`/blocks/${ulid}/${name}`));
  }
  return meta;
}
