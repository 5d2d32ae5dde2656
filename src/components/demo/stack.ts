import { join } from 'node:path';
import type { Disk } from '#/lib/disk.ts';
import type { BucketAccess } from './bucket-server.ts';
import { Service } from './service.ts';
import { targetPath } from './targets.ts';
import { instances } from './truth.ts';

/** The replicas of the demo's one cluster. */
export const replicas = ['a', 'b'];
export const cluster = 'demo';

export interface StackOptions {
  readonly directory: string;
  /** The path of bin/hindsight. */
  readonly hindsight: string;
  /** The path of a Prometheus; without one there is no live side. */
  readonly prometheus: string | undefined;
  readonly nodeExporter: string | undefined;
  readonly access: BucketAccess;
  /** `host:port` of the truth's targets. */
  readonly targets: string;
  /** How long Prometheus's blocks are, as it writes durations. */
  readonly blockDuration: string;
  readonly scrapeInterval: string;
  readonly nextPort: () => Promise<number>;
  readonly queryPort: number;
  readonly disk: Disk;
}

/** Everything that runs, by role. */
export interface Stack {
  readonly prometheuses: readonly Service[];
  readonly sidecars: readonly Service[];
  readonly nodeExporter: Service | undefined;
  readonly store: Service;
  readonly compactor: Service;
  readonly query: Service;
  /** In the order they start. */
  readonly all: readonly Service[];
  /** The gRPC address of the store gateway, as `storeMatch[]` names it. */
  readonly storeAddress: string;
}

/** Lays out the demo's programs and writes their configuration; starts nothing. */
export async function planStack(options: StackOptions): Promise<Stack> {
  const { nextPort } = options;
  const nodeExporter =
    options.nodeExporter === undefined
      ? undefined
      : planNodeExporter(options.nodeExporter, await nextPort());
  const live = options.prometheus === undefined ? [] : replicas;
  const ports = await Promise.all(
    live.map(async (replica) => ({
      replica,
      prometheus: await nextPort(),
      sidecarHttp: await nextPort(),
      sidecarGrpc: await nextPort(),
    })),
  );
  const store = { http: await nextPort(), grpc: await nextPort() };
  const query = { http: options.queryPort, grpc: await nextPort() };
  const compactorHttp = await nextPort();
  const scraped = [
    ...ports.map(({ replica, sidecarHttp }) => ({ job: `sidecar-${replica}`, port: sidecarHttp })),
    { job: 'store', port: store.http },
    { job: 'query', port: query.http },
    { job: 'compactor', port: compactorHttp },
    ...ports.map(({ replica, prometheus }) => ({ job: `prometheus-${replica}`, port: prometheus })),
  ];
  const config = (replica: string) =>
    prometheusConfig(options, replica, nodeExporter?.url, scraped);
  const prometheuses = await Promise.all(
    ports.map(({ replica, prometheus }) =>
      planPrometheus(options, replica, prometheus, config(replica)),
    ),
  );
  const sidecars = ports.map((port) => planSidecar(options, port));
  const storeService = planStore(options, store);
  const compactor = planCompactor(options, compactorHttp);
  const endpoints = [...ports.map(({ sidecarGrpc }) => sidecarGrpc), store.grpc];
  const queryService = planQuery(options, query, endpoints);
  const exporters = nodeExporter === undefined ? [] : [nodeExporter];
  return {
    prometheuses,
    sidecars,
    nodeExporter,
    store: storeService,
    compactor,
    query: queryService,
    all: [...exporters, ...prometheuses, ...sidecars, storeService, queryService, compactor],
    storeAddress: local(store.grpc),
  };
}

function local(port: number): string {
  return `127.0.0.1:${port}`;
}

function planNodeExporter(command: string, port: number): Service {
  return new Service({
    name: 'node_exporter',
    role: "this machine's metrics",
    command,
    args: [`--web.listen-address=${local(port)}`],
    url: `http://${local(port)}`,
    readyPath: '/metrics',
  });
}

async function planPrometheus(
  options: StackOptions,
  replica: string,
  port: number,
  config: string,
): Promise<Service> {
  const directory = replicaDirectory(options, replica);
  const configFile = join(directory, 'prometheus.yml');
  await options.disk.write(configFile, new TextEncoder().encode(config));
  return new Service({
    name: `prometheus ${replica}`,
    role: `scrapes everything, external labels cluster="${cluster}", replica="${replica}"`,
    command: options.prometheus!,
    args: [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${local(port)}`,
      `--storage.tsdb.min-block-duration=${options.blockDuration}`,
      `--storage.tsdb.max-block-duration=${options.blockDuration}`,
    ],
    url: `http://${local(port)}`,
    readyPath: '/-/ready',
  });
}

interface ReplicaPorts {
  readonly replica: string;
  readonly prometheus: number;
  readonly sidecarHttp: number;
  readonly sidecarGrpc: number;
}

function planSidecar(options: StackOptions, ports: ReplicaPorts): Service {
  return new Service({
    name: `sidecar ${ports.replica}`,
    role: `serves and uploads prometheus ${ports.replica}`,
    command: options.hindsight,
    environment: options.access.environment,
    args: [
      'sidecar',
      `--prometheus.url=http://${local(ports.prometheus)}`,
      `--tsdb.path=${join(replicaDirectory(options, ports.replica), 'data')}`,
      `--objstore.config=${options.access.objstore}`,
      `--http-address=${local(ports.sidecarHttp)}`,
      `--grpc-address=${local(ports.sidecarGrpc)}`,
    ],
    url: `http://${local(ports.sidecarHttp)}`,
    readyPath: '/-/ready',
  });
}

interface ServerPorts {
  readonly http: number;
  readonly grpc: number;
}

function planStore(options: StackOptions, { http, grpc }: ServerPorts): Service {
  return new Service({
    name: 'store gateway',
    role: 'serves the history in the bucket',
    command: options.hindsight,
    environment: options.access.environment,
    args: [
      'store',
      `--objstore.config=${options.access.objstore}`,
      `--data-dir=${join(options.directory, 'store')}`,
      '--sync-block-duration=10s',
      `--http-address=${local(http)}`,
      `--grpc-address=${local(grpc)}`,
    ],
    url: `http://${local(http)}`,
    readyPath: '/-/ready',
  });
}

/** Replicas stay apart: the demo shows how queries deduplicate them. */
function planCompactor(options: StackOptions, http: number): Service {
  return new Service({
    name: 'compactor',
    role: 'merges and downsamples the history; its page shows how',
    command: options.hindsight,
    environment: options.access.environment,
    args: [
      'compact',
      '--wait',
      `--objstore.config=${options.access.objstore}`,
      `--data-dir=${join(options.directory, 'compact')}`,
      '--wait-interval=1m',
      `--http-address=${local(http)}`,
    ],
    url: `http://${local(http)}`,
    readyPath: '/-/ready',
  });
}

function planQuery(
  options: StackOptions,
  { http, grpc }: ServerPorts,
  endpoints: readonly number[],
): Service {
  return new Service({
    name: 'querier',
    role: 'answers PromQL over all of it',
    command: options.hindsight,
    args: [
      'query',
      ...endpoints.map((port) => `--endpoint=${local(port)}`),
      '--query.replica-label=replica',
      `--http-address=${local(http)}`,
      `--grpc-address=${local(grpc)}`,
    ],
    url: `http://${local(http)}`,
    readyPath: '/-/ready',
  });
}

function replicaDirectory({ directory }: StackOptions, replica: string): string {
  return join(directory, `prometheus-${replica}`);
}

/** Prometheus reads JSON as YAML. */
function prometheusConfig(
  options: StackOptions,
  replica: string,
  nodeExporterUrl: string | undefined,
  scraped: readonly { readonly job: string; readonly port: number }[],
): string {
  const scrape = (job: string, target: string, labels: Record<string, string> = {}) => ({
    job_name: job,
    static_configs: [{ targets: [target], labels }],
  });
  const node = nodeExporterUrl === undefined ? [] : [scrape('node', new URL(nodeExporterUrl).host)];
  const shops = {
    job_name: 'demo',
    static_configs: instances.map((instance) => ({
      targets: [options.targets],
      labels: { instance, __metrics_path__: targetPath(instance) },
    })),
  };
  return JSON.stringify({
    global: {
      scrape_interval: options.scrapeInterval,
      external_labels: { cluster, replica },
    },
    scrape_configs: [shops, ...node, ...scraped.map(({ job, port }) => scrape(job, local(port)))],
  });
}
