import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { startProcess } from '#/components/child-process.ts';
import type { ChildProcess } from '#/components/child-process.ts';

const repository = resolve(import.meta.dirname, '../..');

/** A directory below the system's temporary one; gone when it is disposed. */
export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'hindsight-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** A TCP port on the loopback interface that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolvePort(port));
    });
  });
}

/** The full path of a program, or `undefined` when the machine does not have it. */
export function findProgram(name: string): string | undefined {
  const unpacked = name.startsWith('prom') ? [prometheus3Directory] : [];
  const directories = [...unpacked, ...(process.env['PATH'] ?? '').split(delimiter)];
  return directories.map((directory) => join(directory, name)).find((path) => existsSync(path));
}

const prometheus3Directory = join(repository, '.servers/prometheus-3/usr/bin');

/** Prometheus 3.x, as bin/setup unpacks it. */
export function findPrometheus3(): string | undefined {
  const path = join(prometheus3Directory, 'prometheus');
  return existsSync(path) ? path : undefined;
}

export interface PrometheusOptions {
  /** Default: 3.x when it is there, else the system's. */
  readonly binary?: string;
  /** The data directory; a temporary one that goes with the server by default. */
  readonly directory?: string;
  /** Labels of the configuration's `global.external_labels`. */
  readonly externalLabels?: Readonly<Record<string, string>>;
  /** YAML for `scrape_configs` and everything else behind `global`. */
  readonly config?: string;
  readonly scrapeIntervalMs?: number;
  readonly flags?: readonly string[];
  readonly port?: number;
}

/** A real Prometheus on the loopback interface, ready to answer. */
export interface PrometheusServer extends AsyncDisposable {
  readonly url: string;
  readonly address: string;
  readonly port: number;
  readonly directory: string;
  readonly configFile: string;
  readonly process: ChildProcess;
}

/** Starts a Prometheus and waits until it is ready. @throws Error when there is none on the machine. */
export async function startPrometheus(options: PrometheusOptions = {}): Promise<PrometheusServer> {
  const binary = options.binary ?? findProgram('prometheus');
  if (binary === undefined)
    throw new Error("no prometheus here; get it with 'sh bin/setup --servers'");
  await using opened = new AsyncDisposableStack();
  const directory = options.directory ?? opened.use(await temporaryDirectory()).path;
  const port = options.port ?? (await freePort());
  const configFile = join(directory, 'prometheus.yml');
  await mkdir(directory, { recursive: true });
  await writeFile(configFile, prometheusConfig(options));
  const url = `http://127.0.0.1:${port}`;
  const server = opened.use(
    await startProcess({
      command: binary,
      args: [
        `--config.file=${configFile}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        ...(options.flags ?? []),
      ],
      readyUrl: `${url}/-/ready`,
    }),
  );
  const owned = opened.move();
  return {
    url,
    address: `127.0.0.1:${port}`,
    port,
    directory,
    configFile,
    process: server,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function prometheusConfig({
  externalLabels = {},
  scrapeIntervalMs = 1000,
  config = '',
}: PrometheusOptions): string {
  return `global:
  scrape_interval: ${scrapeIntervalMs}ms
  external_labels: ${JSON.stringify(externalLabels)}
${config}
`;
}

/** Fetches JSON and fails with the body when the status is not 200. */
export async function getJson(url: string): Promise<unknown> {
  const response = await fetch(url);
  const body = await response.text();
  if (!response.ok) throw new Error(`GET ${url}: ${response.status} ${body}`);
  return JSON.parse(body);
}

/** Polls until `check` gives a value; what it throws last is the cause of the failure. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let cause: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await check();
      if (value !== undefined) return value;
    } catch (thrown) {
      cause = thrown;
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`${what}: not within ${timeoutMs} ms`, { cause });
}
