import { join } from 'node:path';
import { Shipper } from '#/blocks/shipper.ts';
import type { ShipperOptions } from '#/blocks/shipper.ts';
import { serveGrpc } from '#/grpc/server.ts';
import type { GrpcServerOptions } from '#/grpc/server.ts';
import { clientOptionsOf } from '#/http/client-config.ts';
import type { HttpClientConfig } from '#/http/client-config.ts';
import { HttpClient } from '#/http/client.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServerOptions } from '#/http/server.ts';
import { deadline } from '#/lib/deadline.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { together } from '#/lib/together.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import type { Bucket } from '#/objstore/bucket.ts';
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
import type { UploadSettings } from './sidecar/check-flags.ts';
import { PrometheusWatch } from './sidecar/prometheus-watch.ts';
import { httpTrigger, signalTrigger } from './sidecar/reload-trigger.ts';
import { runReloader } from './sidecar/reloader.ts';
import type { ReloaderConfig } from './sidecar/reloader.ts';

export interface SidecarConfig {
  readonly http: Omit<HttpServerOptions, 'routes'>;
  readonly grpc: Omit<GrpcServerOptions, 'services'>;
  readonly prometheus: PrometheusConfig;
  readonly reloader: ReloaderConfig & {
    readonly method: 'http' | 'signal';
    /** The name of Prometheus's executable, for `signal`. */
    readonly processName: string;
  };
  /** Without it no block is uploaded. */
  readonly upload?: UploadConfig;
  readonly limits: StoreLimits;
  /** Nothing older is served. */
  readonly minTime: TimeOrDuration;
}

export interface PrometheusConfig {
  readonly url: URL;
  readonly client: HttpClientConfig;
  /** How long uploads wait for Prometheus's first answer; then the sidecar fails. */
  readonly readyTimeoutMs: number;
  /** Between two looks at its labels and its oldest sample, and how long a look may take. */
  readonly getConfigIntervalMs: number;
  readonly getConfigTimeoutMs: number;
}

export interface UploadConfig
  extends
    UploadSettings,
    Omit<ShipperOptions, 'directory' | 'bucket' | 'labels' | 'source' | 'stateFileName'> {
  /** Where the blocks go; it is closed in the end. */
  readonly openBucket: (runtime: Runtime) => Promise<Bucket>;
  /** Between two looks for new blocks. Default 30 s. */
  readonly intervalMs?: number;
}

const UPLOAD_INTERVAL_MS = 30_000;

/**
 * Stands beside one Prometheus until `runtime.signal` aborts: serves it over StoreAPI, uploads its
 * blocks, and reloads it when its files change, which may be what lets it start at all.
 * @throws BadInputError if Prometheus has no external labels.
 */
export async function runSidecar(config: SidecarConfig, runtime: Runtime): Promise<void> {
  await using open = new AsyncDisposableStack();
  const { clock, net, disk } = runtime;
  const options = clientOptionsOf(config.prometheus.client, disk);
  const http = open.use(new HttpClient({ net, clock, userAgent: 'Hindsight', ...options }));
  const client = new PrometheusClient(http, config.prometheus.url);
  open.use(await serveHttp({ ...config.http, routes: [] }, runtime));
  await together(runtime.signal, [
    (signal) => servePrometheus(config, client, { ...runtime, signal }),
    (signal) => reload(config, client, { ...runtime, signal }),
  ]);
}

async function servePrometheus(
  config: SidecarConfig,
  client: PrometheusClient,
  runtime: Runtime,
): Promise<void> {
  await using open = new AsyncDisposableStack();
  const { prometheus, upload, minTime } = config;
  const bucket = upload && open.use(await upload.openBucket(runtime));
  const watch = new PrometheusWatch(
    {
      client,
      intervalMs: prometheus.getConfigIntervalMs,
      timeoutMs: prometheus.getConfigTimeoutMs,
      minTime,
      ...(upload === undefined ? {} : { upload }),
    },
    runtime,
  );
  if (upload === undefined) await watch.start(runtime.signal);
  else await startInTime(watch, prometheus.readyTimeoutMs, runtime);
  const services = servicesOf(config, client, watch, runtime);
  open.use(await serveGrpc({ ...config.grpc, services }, runtime));
  open.defer(() => runtime.probe.notReady('stopping'));
  await together(runtime.signal, [
    (signal) => watch.run(signal),
    async (signal) => {
      if (bucket !== undefined) await uploadBlocks(upload!, bucket, watch, { ...runtime, signal });
    },
  ]);
}

/** Blocks pile up while nothing is known, so with uploads somebody must learn of it. */
async function startInTime(
  watch: PrometheusWatch,
  timeoutMs: number,
  { clock, signal }: Runtime,
): Promise<void> {
  using limit = deadline(clock, timeoutMs, signal);
  try {
    await watch.start(limit.signal);
  } catch (thrown) {
    if (!limit.expired) throw thrown;
    throw new UnavailableError(
      `no external labels known after waiting ${timeoutMs / 1000} s (--prometheus.ready_timeout); is Prometheus running?`,
      { cause: thrown },
    );
  }
}

async function uploadBlocks(
  { tsdbPath, metaFileName, intervalMs = UPLOAD_INTERVAL_MS, ...options }: UploadConfig,
  bucket: Bucket,
  watch: PrometheusWatch,
  runtime: Runtime,
): Promise<void> {
  const { clock, disk, log, signal } = runtime;
  const wal = join(tsdbPath, 'wal');
  if ((await disk.stat(wal))?.kind !== 'directory') {
    log.error('there is no WAL in --tsdb.path; is it the data directory of Prometheus?', { wal });
  }
  const shipper = new Shipper(
    {
      ...options,
      directory: tsdbPath,
      bucket,
      labels: () => watch.state.externalLabels,
      source: 'sidecar',
      stateFileName: metaFileName,
    },
    runtime,
  );
  while (!signal.aborted) {
    try {
      await shipper.sync(signal);
    } catch (thrown) {
      if (signal.aborted) return;
      log.warn('uploading blocks failed; trying again', { err: thrown });
    }
    await clock.sleep(intervalMs, signal);
  }
}

function servicesOf(
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

async function reload(
  { reloader }: SidecarConfig,
  client: PrometheusClient,
  runtime: Runtime,
): Promise<void> {
  const { disk, clock } = runtime;
  const { processName } = reloader;
  const kill = (pid: number, signal: 'SIGHUP') => void process.kill(pid, signal);
  const trigger =
    reloader.method === 'http'
      ? httpTrigger(client)
      : signalTrigger({ client, processName, disk, clock, kill });
  await runReloader(reloader, trigger, process.env, runtime);
}
