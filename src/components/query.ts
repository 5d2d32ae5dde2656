import type { ConnectionOptions } from 'node:tls';
import type { EndpointApi } from '#/api/endpoint-api.ts';
import { exemplarRoutes } from '#/api/exemplars.ts';
import { formatRoutes } from '#/api/format.ts';
import { labelRoutes } from '#/api/labels.ts';
import { queryBudget } from '#/api/query-api.ts';
import type { QueryApi } from '#/api/query-api.ts';
import { queryRoutes } from '#/api/query.ts';
import { rulesRoutes } from '#/api/rules.ts';
import { statusRoutes } from '#/api/status.ts';
import type { StatusApi } from '#/api/status.ts';
import { storesRoutes } from '#/api/stores.ts';
import { targetsRoutes } from '#/api/targets.ts';
import { tsdbStatusRoutes } from '#/api/tsdb-status.ts';
import { uiRoutes } from '#/api/ui.ts';
import type { PageLink } from '#/api/ui.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { DnsResolver } from '#/discovery/dns.ts';
import { FileDiscovery } from '#/discovery/file.ts';
import { Channel } from '#/grpc/client.ts';
import { serveGrpc } from '#/grpc/server.ts';
import type { GrpcServerOptions } from '#/grpc/server.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServerOptions, Route } from '#/http/server.ts';
import type { Disk } from '#/lib/disk.ts';
import { Gate } from '#/lib/gate.ts';
import { ProcessMemory } from '#/lib/process-memory.ts';
import { together } from '#/lib/together.ts';
import type { Labels } from '#/model/labels.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import type { EngineFeatures } from '#/promql/engine.ts';
import { worthSharding } from '#/promql/shards.ts';
import type { Shards } from '#/promql/shards.ts';
import { ApiProxy } from '#/query/api-proxy.ts';
import type { ClientSettings, ClientTls, EndpointConfig } from '#/query/endpoint-config.ts';
import { EndpointSet } from '#/query/endpoints.ts';
import type { ConnectionLabel } from '#/query/endpoints.ts';
import { lookbacks } from '#/query/lookback.ts';
import { Querier } from '#/query/querier.ts';
import { QueryApi as QueryService } from '#/query/query-api.ts';
import {
  exemplarsService,
  metricMetadataService,
  queryService,
  rulesService,
  statusService,
  targetsService,
} from '#/storeapi/endpoint-apis.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import type { TsdbSelector } from '#/storeapi/proxy-store.ts';
import { infoService, storeService } from '#/storeapi/service.ts';
import { openShards } from './query-workers.ts';
import type { Runtime } from './runtime.ts';

export interface QueryConfig {
  readonly http: Omit<HttpServerOptions, 'routes'>;
  /** Of other parts of the process, and the links to them on the page. */
  readonly besides?: { readonly routes: readonly Route[]; readonly links: readonly PageLink[] };
  readonly grpc: Omit<GrpcServerOptions, 'services'>;
  readonly endpoints: {
    readonly config: () => EndpointConfig;
    /** `--store.sd-files`. */
    readonly files: readonly string[];
    readonly fileIntervalMs: number;
    readonly dnsIntervalMs: number;
    readonly infoTimeoutMs: number;
    readonly unhealthyTimeoutMs: number;
    readonly connectionLabels: readonly ConnectionLabel[];
    readonly responseTimeoutMs: number;
    readonly tsdbSelector?: TsdbSelector;
  };
  readonly selectorLabels: Labels;
  readonly query: {
    readonly timeoutMs: number;
    readonly maxConcurrent: number;
    readonly maxConcurrentSelects: number;
    /** Bytes that one query, and all together, may hold. */
    readonly memoryBytes: number;
    readonly totalMemoryBytes: number;
    readonly maxSamples: number;
    /** Steps of a range query, and series of one select; 0 for any number. */
    readonly maxSteps: number;
    /** Queries that take this long are logged; 0 for none. */
    readonly slowQueryMs: number;
    readonly maxSeries: number;
    /** Threads that evaluate large queries. */
    readonly workers: number;
    readonly lookbackMs: number;
    /** A sample of a coarse resolution counts for as long as the resolution. */
    readonly dynamicLookback: boolean;
    readonly defaultStepMs: number;
    /** The step of subqueries that name none. */
    readonly evaluationIntervalMs: number;
    readonly features: Partial<EngineFeatures>;
    readonly replicaLabels: readonly string[];
    readonly algorithm: DedupAlgorithm;
    readonly partialResponse: boolean;
    readonly autoDownsampling: boolean;
    readonly metadataRangeMs: number;
    readonly instantMaxResolutionMs: number;
  };
  readonly tenancy: { readonly header: string; readonly defaultTenant: string };
  readonly status: StatusApi;
}

/** Answers PromQL over all its endpoints, over HTTP and gRPC, until `runtime.signal` aborts. */
export async function runQuery(config: QueryConfig, runtime: Runtime): Promise<void> {
  const { metrics, probe, signal } = runtime;
  await using open = new AsyncDisposableStack();
  // Closed behind the servers: queries of the grace period still need them.
  const endpoints = open.use(endpointSet(config, runtime));
  const shards = openShards(open, { workers: config.query.workers, ...worthSharding });
  const store = new ProxyStore({
    ...runtime,
    endpoints: () => endpoints.stores(),
    selectorLabels: config.selectorLabels,
    responseTimeoutMs: config.endpoints.responseTimeoutMs,
    ...(config.endpoints.tsdbSelector === undefined
      ? {}
      : { tsdbSelector: config.endpoints.tsdbSelector }),
  });
  const proxy = new ApiProxy(endpoints, config.selectorLabels);
  const api = queryApi(config, { store, shards }, runtime);
  const gated = { running: () => api.gate.running, waiting: () => api.gate.waiting };
  metrics.gaugeFrom(
    { name: 'thanos_query_concurrent_gate_queries_in_flight', help: 'Queries that run.' },
    gated.running,
  );
  metrics.gaugeFrom(
    { name: 'hindsight_query_gate_queries_waiting', help: 'Queries that wait for a place.' },
    gated.waiting,
  );
  metrics.gaugeFrom(
    { name: 'hindsight_query_memory_bytes', help: 'Bytes that running queries have reserved.' },
    () => api.memory.usedBytes,
  );
  const services = [
    storeService(store, { defaultTenant: config.tenancy.defaultTenant }),
    rulesService(proxy),
    targetsService(proxy),
    metricMetadataService(proxy),
    exemplarsService(proxy),
    statusService(proxy),
    queryService(queryForQueriers(config, api, runtime)),
    infoService({
      component: 'query',
      store,
      rules: true,
      targets: true,
      metricMetadata: true,
      exemplars: true,
      status: true,
      query: true,
      isReady: () => probe.isReady,
    }),
  ];
  const routes = routesOf(config, api, { proxy, statuses: () => endpoints.statuses() });
  open.use(await serveHttp({ ...config.http, routes }, runtime));
  open.use(await serveGrpc({ ...config.grpc, services }, runtime));
  open.defer(() => probe.notReady('stopping'));
  await endpoints.update(signal);
  probe.ready();
  await together(signal, [(of) => endpoints.run(of)]);
}

function endpointSet({ endpoints, query }: QueryConfig, runtime: Runtime): EndpointSet {
  const { clock, net, random, disk, log, metrics } = runtime;
  const files = { disk, log, patterns: endpoints.files };
  return new EndpointSet({
    config: endpoints.config,
    dns: new DnsResolver({ net, log, metrics, metricPrefix: 'thanos_query_endpoints_' }),
    ...(endpoints.files.length === 0 ? {} : { files: new FileDiscovery(files) }),
    dial: (address, client) =>
      new Channel({ net, clock, random, address, ...channelOptions(client, disk) }),
    clock,
    log,
    metrics,
    infoTimeoutMs: endpoints.infoTimeoutMs,
    unhealthyTimeoutMs: endpoints.unhealthyTimeoutMs,
    dnsIntervalMs: endpoints.dnsIntervalMs,
    fileIntervalMs: endpoints.fileIntervalMs,
    closeDelayMs: Math.max(query.timeoutMs, endpoints.infoTimeoutMs, endpoints.unhealthyTimeoutMs),
    connectionLabels: endpoints.connectionLabels,
  });
}

function channelOptions({ tls, compression }: ClientSettings, disk: Disk) {
  return { compression, ...(tls === undefined ? {} : { tls: () => tlsOptions(tls, disk) }) };
}

/** Read before every connection, so that renewed files count. */
async function tlsOptions(tls: ClientTls, disk: Disk): Promise<ConnectionOptions> {
  const [ca, cert, key] = await Promise.all(
    [tls.caFile, tls.certFile, tls.keyFile].map(async (path) =>
      path === '' ? undefined : Buffer.from(await disk.read(path)),
    ),
  );
  return {
    rejectUnauthorized: !tls.insecureSkipVerify,
    minVersion: `TLSv${tls.minVersion || '1.3'}` as 'TLSv1.3',
    ...(tls.serverName === '' ? {} : { servername: tls.serverName }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function engineFeatures({ query }: QueryConfig): EngineFeatures {
  return { ...stableEngineFeatures, ...query.features };
}

function queryApi(
  config: QueryConfig,
  { store, shards }: { readonly store: ProxyStore; readonly shards: Shards | undefined },
  { clock, log, memory }: Runtime,
): QueryApi {
  const { query, tenancy } = config;
  const engine = new Engine({
    lookbackMs: query.lookbackMs,
    maxSamples: query.maxSamples,
    defaultStepMs: () => query.evaluationIntervalMs,
    features: engineFeatures(config),
    shards,
  });
  return {
    engine,
    querier: new Querier(store, query.maxConcurrentSelects, query.maxSeries),
    gate: new Gate(query.maxConcurrent),
    now: () => clock.now(),
    memory: new ProcessMemory({
      what: 'all queries together',
      limitBytes: query.totalMemoryBytes,
      flag: '--query.total-memory-limit',
      ...(memory === undefined ? {} : { probe: memory }),
    }),
    queryMemoryBytes: query.memoryBytes,
    timeoutMs: query.timeoutMs,
    maxSteps: query.maxSteps,
    slowQueries: { log, longerThanMs: query.slowQueryMs, now: () => clock.now() },
    replicaLabels: query.replicaLabels,
    algorithm: query.algorithm,
    partialResponse: query.partialResponse,
    autoDownsampling: query.autoDownsampling,
    lookbackMs: lookbacks(query.lookbackMs, query.dynamicLookback),
    defaultStepMs: query.defaultStepMs,
    metadataRangeMs: query.metadataRangeMs,
    tenantHeader: tenancy.header,
    defaultTenant: tenancy.defaultTenant,
  };
}

function queryForQueriers(
  { query, tenancy }: QueryConfig,
  api: QueryApi,
  { clock }: Runtime,
): QueryService {
  return new QueryService({
    engine: api.engine,
    querier: api.querier,
    clock,
    gate: api.gate,
    budget: () => queryBudget(api),
    timeoutMs: api.timeoutMs,
    replicaLabels: api.replicaLabels,
    algorithm: api.algorithm,
    defaultMaxResolutionMs: query.instantMaxResolutionMs,
    lookbackMs: api.lookbackMs,
    defaultTenant: tenancy.defaultTenant,
  });
}

function routesOf(
  config: QueryConfig,
  api: QueryApi,
  sources: Pick<EndpointApi, 'proxy' | 'statuses'>,
) {
  const { now, timeoutMs, replicaLabels, partialResponse } = api;
  const endpointApi = { ...sources, now, timeoutMs, replicaLabels, partialResponse };
  return [
    ...queryRoutes(api),
    ...labelRoutes(api),
    ...rulesRoutes(endpointApi),
    ...targetsRoutes(endpointApi),
    ...exemplarRoutes(endpointApi),
    ...storesRoutes(endpointApi),
    ...tsdbStatusRoutes(endpointApi),
    ...formatRoutes(engineFeatures(config)),
    ...statusRoutes(config.status),
    ...uiRoutes(config.besides?.links),
    ...(config.besides?.routes ?? []),
  ];
}
