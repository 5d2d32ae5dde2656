import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from '#/components/child-process.ts';
import type { ChildProcess } from '#/components/child-process.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { systemRandom } from '#/lib/random.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { openBucket } from '#/objstore/open.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { startBucketServer } from '../support/bucket-servers.ts';
import type { BucketAccess, RemoteProvider } from '../support/bucket-servers.ts';
import { eventually, freePort, temporaryDirectory } from '../support/servers.ts';
import { uploadBase, uploadRound } from './data.ts';
import { Load } from './load.ts';
import type { Tally } from './load.ts';
import { StormProxy } from './storm-proxy.ts';
import { Weather } from './weather.ts';

export type Provider = 'filesystem' | RemoteProvider;

export interface StormOptions {
  readonly providers: readonly Provider[];
  readonly seconds: number;
  /** How long one kind of weather lasts. */
  readonly phaseMs: number;
  readonly seed: number;
  /** Queries of one provider at once. */
  readonly concurrency: number;
  /** How often a new block comes into each bucket. */
  readonly roundMs: number;
}

/** How one provider's store gateway came through. */
export interface StormReport {
  readonly provider: Provider;
  readonly tally: Tally;
  /** How the process ended before its time, with its last words; `undefined` if it did not. */
  readonly crash: string | undefined;
  /** Resident memory of the store gateway in MB, from the beginning of the storm to its end. */
  readonly residentMb: readonly number[];
}

const hindsight = resolve(import.meta.dirname, '../../bin/hindsight');
const faultyStore = resolve(import.meta.dirname, 'faulty-store.ts');
const SAMPLE_MS = 5000;

interface Site extends AsyncDisposable {
  readonly provider: Provider;
  readonly store: ChildProcess;
  readonly grpc: string;
  /** Past the storm. */
  readonly bucket: Bucket;
  start(): void;
  end(): void;
}

/**
 * A store gateway for each provider, whose every request to object storage is at the weather's mercy,
 * one querier over them all, and queries without a pause. Gives what became of them.
 */
export async function runStorm(options: StormOptions): Promise<StormReport[]> {
  await using opened = new AsyncDisposableStack();
  const sites = await Promise.all(
    options.providers.map(async (provider) => opened.use(await openSite(provider, options))),
  );
  const { url, querier } = await startQuerier(sites.map(({ grpc }) => grpc));
  opened.use(querier);
  const loads = await Promise.all(
    sites.map(async ({ provider }) => {
      const load = new Load(url, provider);
      await eventually(`${provider} answers`, () => load.learn().then(() => true));
      return load;
    }),
  );
  const stop = new AbortController();
  const residents = sites.map(() => [] as number[]);
  const watching = sites.map(({ store }, i) => watchResident(store, residents[i]!, stop.signal));
  for (const site of sites) site.start();
  const work = loads.flatMap((load, i) => [
    ...Array.from({ length: options.concurrency }, (_, n) => load.run(stop.signal, n)),
    keepAdding(sites[i]!, load, options.roundMs, stop.signal),
  ]);
  await delay(options.seconds * 1000);
  for (const site of sites) site.end();
  stop.abort();
  await Promise.all([...work, ...watching]);
  const crashOf = (child: ChildProcess) => (child.isRunning ? undefined : child.output);
  return sites.map(({ provider, store }, i) => ({
    provider,
    tally: loads[i]!.tally,
    crash: crashOf(store) ?? crashOf(querier),
    residentMb: residents[i]!,
  }));
}

async function openSite(provider: Provider, options: StormOptions): Promise<Site> {
  await using opened = new AsyncDisposableStack();
  const directory = opened.use(await temporaryDirectory()).path;
  const weather = new Weather(options.seed, options.phaseMs);
  const paths = { data: join(directory, 'data'), bucket: join(directory, 'bucket') };
  const isLocal = provider === 'filesystem';
  const server = isLocal ? undefined : opened.use(await startBucketServer(provider));
  const proxy = server && opened.use(await StormProxy.start(server.url, weather));
  const own = server?.access() ?? {
    objstore: JSON.stringify({ type: 'FILESYSTEM', config: { directory: paths.bucket } }),
    environment: {},
  };
  const bucket = opened.use(await open(own));
  await uploadBase(bucket, provider);

  const [http, grpc] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const { objstore, environment } = server?.access(proxy!.url) ?? own;
  const flags = [
    `--objstore.config=${objstore}`,
    `--data-dir=${paths.data}`,
    `--http-address=${http}`,
    `--grpc-address=${grpc}`,
    '--sync-block-duration=3s',
    // Everything is read from the bucket again and again.
    '--index-cache-size=1KB',
    '--store.index-header-cache-size=10KB',
    '--log.level=error',
  ];
  const store = opened.use(
    await startProcess({
      command: isLocal ? process.execPath : hindsight,
      args: isLocal
        ? [faultyStore, String(options.seed), String(options.phaseMs), paths.bucket, ...flags]
        : ['store', ...flags],
      env: environment,
      readyUrl: `http://${http}/-/ready`,
    }),
  );
  const owned = opened.move();
  return {
    provider,
    store,
    grpc,
    bucket,
    start: () => (isLocal ? store.kill('SIGUSR2') : weather.start(Date.now())),
    end: () => (isLocal ? store.kill('SIGUSR2') : weather.end()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function open({ objstore, environment }: BucketAccess): Promise<Bucket> {
  const effects = { clock: systemClock, random: systemRandom, disk: nodeDisk };
  return openBucket(
    { source: 'storm', text: objstore },
    { ...effects, environment, log: new MemoryLog(), metrics: new Metrics() },
  );
}

async function startQuerier(endpoints: readonly string[]) {
  const http = `127.0.0.1:${await freePort()}`;
  const querier = await startProcess({
    command: hindsight,
    args: [
      'query',
      ...endpoints.map((endpoint) => `--endpoint=${endpoint}`),
      `--http-address=${http}`,
      `--grpc-address=127.0.0.1:${await freePort()}`,
      '--query.timeout=25s',
      '--log.level=error',
    ],
    readyUrl: `http://${http}/-/ready`,
  });
  return { url: `http://${http}`, querier };
}

/** New blocks make the gateway look, find and build headers in the storm. */
async function keepAdding(
  { bucket, provider }: Site,
  load: Load,
  everyMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (let n = 1; !signal.aborted; n++) {
    await uploadRound(bucket, provider, n);
    load.round = n;
    await systemClock.sleep(everyMs, signal).catch(() => undefined);
  }
}

async function watchResident(
  { pid }: ChildProcess,
  into: number[],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    if (kilobytes !== undefined) into.push(Math.round(Number(kilobytes) / 1024));
    await systemClock.sleep(SAMPLE_MS, signal).catch(() => undefined);
  }
}
