import { serveGrpc } from '#/grpc/server.ts';
import { HttpClient } from '#/http/client.ts';
import { serveHttp } from '#/http/server.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import {
  exemplarsService,
  metricMetadataService,
  rulesService,
  statusService,
  targetsService,
} from '#/storeapi/endpoint-apis.ts';
import { PrometheusApis } from '#/storeapi/prometheus-apis.ts';
import { PrometheusClient } from '#/storeapi/prometheus-client.ts';
import { PrometheusStore } from '#/storeapi/prometheus-store.ts';
import { infoService, storeService } from '#/storeapi/service.ts';
import type { StoreLimits } from '#/storeapi/store-limits.ts';
import type { Runtime } from './runtime.ts';
import { PrometheusWatch } from './sidecar/prometheus-watch.ts';

export interface SidecarConfig {
  readonly http: { readonly address: string; readonly gracePeriodMs: number };
  readonly grpc: { readonly address: string; readonly gracePeriodMs: number };
  readonly prometheus: PrometheusConfig;
  readonly limits: StoreLimits;
  /** Nothing older is served. */
  readonly minTime: TimeOrDuration;
}

export interface PrometheusConfig {
  readonly url: URL;
  /** Between two looks at its labels and its oldest sample, and how long a look may take. */
  readonly getConfigIntervalMs: number;
  readonly getConfigTimeoutMs: number;
}

/** Stands beside one Prometheus and serves it over StoreAPI until `runtime.signal` aborts. */
export async function runSidecar(config: SidecarConfig, runtime: Runtime): Promise<void> {
  const { prometheus, http, grpc } = config;
  await using open = new AsyncDisposableStack();
  const httpClient = open.use(
    new HttpClient({ net: runtime.net, clock: runtime.clock, userAgent: 'Hindsight' }),
  );
  const client = new PrometheusClient(httpClient, prometheus.url);
  const watch = new PrometheusWatch(
    {
      client,
      intervalMs: prometheus.getConfigIntervalMs,
      timeoutMs: prometheus.getConfigTimeoutMs,
      minTime: config.minTime,
    },
    runtime,
  );
  open.use(await serveHttp({ ...http, routes: [] }, runtime));
  await watch.start();
  open.use(
    await serveGrpc({ ...grpc, services: services(config, client, watch, runtime) }, runtime),
  );
  await watch.run();
}

function services(
  { limits }: SidecarConfig,
  client: PrometheusClient,
  watch: PrometheusWatch,
  { metrics, probe }: Runtime,
) {
  const isReady = () => probe.isReady;
  const store = new PrometheusStore({ client, state: () => watch.state, limits, metrics });
  const externalLabels = () => watch.state.externalLabels;
  const apis = new PrometheusApis({ client, externalLabels, isReady });
  return [
    storeService(store),
    rulesService(apis),
    targetsService(apis),
    metricMetadataService(apis),
    exemplarsService(apis),
    statusService(apis),
    infoService({
      component: 'sidecar',
      store,
      rules: true,
      targets: true,
      metricMetadata: true,
      exemplars: true,
      status: true,
      isReady,
    }),
  ];
}
