import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startProcess } from '#/components/child-process.ts';
import { startStoreAndQuery } from '../../test/support/hindsight.ts';
import { freePort, getJson, startPrometheus } from '../../test/support/servers.ts';
import { replicaLabel } from './data-set.ts';

/** One side of the comparison: where it answers, and the processes it consists of. */
export interface Side extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly pids: readonly number[];
}

/** A Prometheus over `directory/data` that leaves the blocks there as they are. */
export async function startPrometheusSide(
  directory: string,
  binary: string | undefined,
): Promise<Side> {
  const server = await startPrometheus({
    directory,
    ...(binary === undefined ? {} : { binary }),
    flags: [
      '--storage.tsdb.retention.time=100y',
      '--storage.tsdb.min-block-duration=2h',
      '--storage.tsdb.max-block-duration=2h',
    ],
  });
  const info = (await getJson(`${server.url}/api/v1/status/buildinfo`)) as {
    data: { version: string };
  };
  return {
    name: `Prometheus ${info.data.version || 'of unknown version'}`,
    url: server.url,
    pids: [server.process.pid],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A store gateway over the directory as a bucket, and a querier in front of it, as users run them. */
export async function startComponents(directory: string): Promise<Side> {
  const { store, query, url, ...running } = await startStoreAndQuery({
    directory,
    queryFlags: [`--query.replica-label=${replicaLabel.name}`],
    env: nodeOptions(),
  });
  return {
    name: 'Hindsight (store gateway and querier)',
    url,
    pids: [store.pid, query.pid],
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** Our engine and HTTP API over the same files, in one process, without StoreAPI in between. */
export async function startBlockServer(directory: string): Promise<Side> {
  const address = `127.0.0.1:${await freePort()}`;
  const server = await startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, 'block-server.ts'), join(directory, 'data'), address],
    env: nodeOptions(),
    readyUrl: `http://${address}/-/ready`,
  });
  return {
    name: 'Hindsight (engine over local blocks)',
    url: `http://${address}`,
    pids: [server.pid],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** `HINDSIGHT_NODE_OPTIONS`, for profiles: `--cpu-prof --cpu-prof-dir=/tmp/profiles`. */
function nodeOptions(): Record<string, string> {
  return { NODE_OPTIONS: process.env['HINDSIGHT_NODE_OPTIONS'] ?? '' };
}

/** Keeps all threads of a side on the first core of the machine. */
export async function pinToOneCore(side: Side): Promise<void> {
  for (const pid of side.pids) {
    await promisify(execFile)('taskset', ['--all-tasks', '--cpu-list', '--pid', '0', String(pid)]);
  }
}
