import { access } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { uploadBlock } from '#/blocks/upload-block.ts';
import { isAbort } from '#/lib/errors.ts';
import { seededRandom } from '#/lib/random.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { openBucket } from '#/objstore/open.ts';
import type { ObjstoreConfig } from '#/objstore/open.ts';
import { startBucketServer } from './demo/bucket-server.ts';
import type { BucketAccess, BucketKind } from './demo/bucket-server.ts';
import { runChecks } from './demo/check.ts';
import { QueryClient } from './demo/client.ts';
import { DemoConsole } from './demo/console.ts';
import { writeHistory } from './demo/history.ts';
import type { History } from './demo/history.ts';
import type { Service } from './demo/service.ts';
import { cluster, planStack, replicas } from './demo/stack.ts';
import type { Stack } from './demo/stack.ts';
import { serveTargets } from './demo/targets.ts';
import type { Runtime } from './runtime.ts';

export { BUCKETS } from './demo/bucket-server.ts';

export interface DemoConfig {
  /** Where everything of the demo lies; emptied first. */
  readonly directory: string;
  /** The path of bin/hindsight. */
  readonly hindsight: string;
  /** The path of a Prometheus, `none`, or `''` to look for one. */
  readonly prometheus: string;
  /** Directories that are searched for it before the PATH. */
  readonly programDirectories: readonly string[];
  /** Check the answers and end, instead of running until told to stop. */
  readonly check: boolean;
  /** Where the bucket lies: a directory, or a server that the demo starts. */
  readonly bucket: BucketKind;
  /** A bucket of the user's own (YAML) in its place. */
  readonly objstore: ObjstoreConfig | undefined;
  /** The program that serves one of the protocols. */
  readonly bucketServer: string;
  readonly historyDays: number;
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
}

const HISTORY_INTERVAL_MS = 15_000;
/** The same gaps at every run, counted from its end. */
const HISTORY_SEED = 1;
/** The port of a querier, taken when it is free. */
const QUERY_PORT = 10_902;

/**
 * Runs the whole path on this machine: two Prometheus replicas with a sidecar each, a bucket with a
 * month of history, a store gateway, a querier and a compactor. Ends when `runtime.signal` aborts or, as a check, when
 * everything was asked; the result is the exit code.
 */
export async function runDemo(config: DemoConfig, runtime: Runtime): Promise<number> {
  const console = new DemoConsole(config.write, config.isTerminal);
  await runtime.disk.remove(config.directory);
  await runtime.disk.makeDirectory(config.directory);
  await using opened = new AsyncDisposableStack();
  const targets = opened.use(await serveTargets(runtime));
  const access = await bucketAccess(config, opened);
  const source = config.objstore?.source ?? `--bucket=${config.bucket}`;
  const bucket = opened.use(
    await openBucket(
      { source, text: access.objstore },
      { ...runtime, environment: { ...process.env, ...access.environment } },
    ),
  );
  const prometheus = await choosePrometheus(config);
  const stack = await planStack({
    directory: config.directory,
    hindsight: config.hindsight,
    prometheus,
    nodeExporter: await findProgram('prometheus-node-exporter', config.programDirectories),
    access,
    targets: targets.address,
    // Blocks are cut when they are half as old again: a check must not wait for hours.
    blockDuration: config.check ? '20s' : '5m',
    scrapeInterval: config.check ? '1s' : '5s',
    nextPort: () => freePort(0),
    queryPort: await freePort(QUERY_PORT).catch(() => freePort(0)),
    disk: runtime.disk,
  });
  if (prometheus === undefined) {
    console.line("Without a Prometheus ('apt-get install prometheus') there is history only.");
  }
  try {
    const history = await start(config, runtime, { stack, bucket, opened, console });
    if (config.check) {
      const context = {
        stack,
        history,
        clock: runtime.clock,
        print: (line: string) => console.line(line),
      };
      return (await runChecks(context)) ? 0 : 1;
    }
    describe(console, bucket.name, stack, history);
    await Promise.race([
      untilStopped(runtime.signal),
      ...stack.all.map((service) => service.failed()),
    ]);
    console.line('Stopping.');
    return 0;
  } catch (thrown) {
    if (runtime.signal.aborted && isAbort(thrown)) return 0;
    throw thrown;
  }
}

interface Parts {
  readonly stack: Stack;
  readonly bucket: Bucket;
  readonly opened: AsyncDisposableStack;
  readonly console: DemoConsole;
}

/** Live data first: history is written up to where it begins, so that nothing is between them. */
async function start(
  config: DemoConfig,
  runtime: Runtime,
  { stack, bucket, opened, console }: Parts,
): Promise<History> {
  const run = async (services: readonly Service[]) => {
    for (const service of services) {
      runtime.signal.throwIfAborted();
      console.progress(`starting ${service.name}`, stack.all.indexOf(service) / stack.all.length);
      opened.use(service);
      await service.start();
    }
  };
  const exporters = stack.nodeExporter === undefined ? [] : [stack.nodeExporter];
  await run([...exporters, ...stack.prometheuses]);
  const endMs = await firstLiveSample(stack, runtime);
  const history = await writeHistory({
    disk: runtime.disk,
    random: seededRandom(HISTORY_SEED),
    directory: join(config.directory, 'blocks'),
    endMs,
    days: config.historyDays,
    intervalMs: HISTORY_INTERVAL_MS,
    replicas,
    cluster,
    upload: async (directory) => {
      runtime.signal.throwIfAborted();
      const { disk, clock, signal } = runtime;
      await uploadBlock({ disk, clock, bucket, directory, signal });
      await runtime.disk.remove(directory);
    },
    onProgress: (share) => {
      console.progress(`writing ${config.historyDays} days of history into the bucket`, share);
    },
  });
  await run([...stack.sidecars, stack.store, stack.query, stack.compactor]);
  console.progress('everything runs', 1);
  return history;
}

/** When the demo's own targets were first scraped, by either replica; now, if nothing scrapes. */
async function firstLiveSample(
  { prometheuses }: Stack,
  { clock, signal }: Runtime,
): Promise<number> {
  const [first, ...others] = await Promise.all(
    prometheuses.map(async ({ url }) => {
      for (;;) {
        const query = 'min(min_over_time(timestamp(demo_temperature_celsius)[10m:1s]))';
        const { series } = await new QueryClient(url).instant(query);
        if (series[0] !== undefined) return Math.floor(Number(series[0].values[0]![1]) * 1000);
        await clock.sleep(200, signal);
      }
    }),
  );
  return first === undefined ? clock.now() : Math.min(first, ...others);
}

function describe(console: DemoConsole, bucket: string, stack: Stack, history: History): void {
  console.line();
  for (const { name, role, url } of stack.all)
    console.line(`  ${name.padEnd(14)} ${url.padEnd(24)} ${role}`);
  console.line(`  ${'bucket'.padEnd(14)} ${bucket}`);
  console.line();
  const days = Math.round((history.endMs - history.startMs) / 86_400_000);
  console.line(
    `${days} days of history at ${history.intervalMs / 1000} s, 5 % missing from each replica. Try:`,
  );
  for (const [query, range] of tryThese) {
    console.line(`  ${query}`);
    console.line(`    ${stack.query.url}/?${new URLSearchParams({ query, range }).toString()}`);
  }
  console.line();
  console.line('Grafana data source (provisioning/datasources/hindsight.yml):');
  console.line('  apiVersion: 1');
  console.line('  datasources:');
  console.line(
    `    - { name: Hindsight, type: prometheus, access: proxy, url: "${stack.query.url}" }`,
  );
  console.line();
  console.line('Ctrl-C ends it.');
}

const tryThese: readonly [query: string, rangeSeconds: string][] = [
  ['sum by (handler) (rate(demo_requests_total[5m]))', '604800'],
  ['avg by (room) (demo_temperature_celsius)', '2592000'],
  ['count by (job) (up)', '900'],
];

/** The user's bucket, a directory, or a server's that ends with the demo. */
async function bucketAccess(
  { objstore, bucket, bucketServer, directory }: DemoConfig,
  opened: AsyncDisposableStack,
): Promise<BucketAccess> {
  if (objstore !== undefined) return { objstore: objstore.text, environment: {} };
  if (bucket !== 'filesystem') {
    return opened.use(await startBucketServer(bucketServer, bucket)).access;
  }
  const config = { type: 'FILESYSTEM', config: { directory: join(directory, 'bucket') } };
  return { objstore: JSON.stringify(config), environment: {} };
}

async function choosePrometheus(config: DemoConfig): Promise<string | undefined> {
  if (config.prometheus === 'none') return undefined;
  return config.prometheus || (await findProgram('prometheus', config.programDirectories));
}

async function findProgram(name: string, first: readonly string[]): Promise<string | undefined> {
  for (const directory of [...first, ...(process.env['PATH'] ?? '').split(delimiter)]) {
    const path = join(directory, name);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** The port itself if it is free; any free one for 0. @throws Error if it is taken. */
function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const bound = server.address() as AddressInfo;
      server.close(() => resolve(bound.port));
    });
  });
}

function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
