import { join } from 'node:path';
import { startProcess } from '#/components/child-process.ts';
import type { ChildProcess } from '#/components/child-process.ts';
import { eventually, freePort, getJson } from './servers.ts';

/** A store gateway and the querier in front of it, each a process of its own. */
export interface StoreAndQuery extends AsyncDisposable {
  readonly store: ChildProcess;
  readonly query: ChildProcess;
  /** Where the querier answers HTTP. */
  readonly url: string;
  /** `host:port` of the store gateway's StoreAPI, and of its HTTP. */
  readonly storeAddress: string;
  readonly storeHttp: string;
}

export interface StoreAndQueryOptions {
  /** The bucket is its `data`; the store keeps what it needs in its `store`. */
  readonly directory: string;
  readonly storeFlags?: readonly string[];
  readonly queryFlags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts both as users do, over a directory as a bucket, and waits until the querier sees series. */
export async function startStoreAndQuery(options: StoreAndQueryOptions): Promise<StoreAndQuery> {
  const { directory, storeFlags = [], queryFlags = [], env = {} } = options;
  await using open = new AsyncDisposableStack();
  const places = { store: await freePlace(), query: await freePlace() };
  const bucket = { type: 'FILESYSTEM', config: { directory: join(directory, 'data') } };
  const store = open.use(
    await startHindsight('store', places.store, env, [
      `--objstore.config=${JSON.stringify(bucket)}`,
      `--data-dir=${join(directory, 'store')}`,
      ...storeFlags,
    ]),
  );
  const query = open.use(
    await startHindsight('query', places.query, env, [
      `--endpoint=${places.store.grpc}`,
      ...queryFlags,
    ]),
  );
  const url = `http://${places.query.http}`;
  await eventually('the querier sees the store', async () => {
    const { data } = (await getJson(`${url}/api/v1/labels`)) as { data: string[] };
    return data.length > 0 ? data : undefined;
  });
  const owned = open.move();
  return {
    store,
    query,
    url,
    storeAddress: places.store.grpc,
    storeHttp: places.store.http,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function freePlace(): Promise<{ readonly http: string; readonly grpc: string }> {
  return { http: `127.0.0.1:${await freePort()}`, grpc: `127.0.0.1:${await freePort()}` };
}

function startHindsight(
  component: string,
  { http, grpc }: { readonly http: string; readonly grpc: string },
  env: Readonly<Record<string, string>>,
  flags: readonly string[],
): Promise<ChildProcess> {
  return startProcess({
    command: join(import.meta.dirname, '../../bin/hindsight'),
    args: [
      component,
      `--http-address=${http}`,
      `--grpc-address=${grpc}`,
      '--log.level=warn',
      ...flags,
    ],
    env,
    readyUrl: `http://${http}/-/ready`,
  });
}
