import { connect } from 'node:net';
import { resolve } from 'node:path';
import { startProcess } from '#/components/child-process.ts';
import type { ChildProcess } from '#/components/child-process.ts';
import { eventually, findProgram, freePort } from './servers.ts';

export type CacheKind = 'memcached' | 'redis';

const PROGRAMS = { memcached: 'memcached', redis: 'redis-server' } as const;
const testdata = resolve(import.meta.dirname, '../../src/grpc/testdata');

/** The certificate of `startCacheServer({ tls: true })`, which vouches for itself. */
export const CA_FILE = `${testdata}/trusted.crt`;
const KEY_FILE = `${testdata}/trusted.key`;

/** Whether `startCacheServer` can work here: `sh bin/setup --servers` installs it. */
export function hasCacheServer(kind: CacheKind): boolean {
  return findProgram(PROGRAMS[kind]) !== undefined;
}

export interface CacheServerOptions {
  /** To come back where another was. */
  readonly port?: number;
  readonly tls?: boolean;
  readonly args?: readonly string[];
}

export interface RunningCacheServer extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  readonly process: ChildProcess;
}

/** A real Memcached or Redis on the loopback interface that keeps everything in memory. */
export async function startCacheServer(
  kind: CacheKind,
  options: CacheServerOptions = {},
): Promise<RunningCacheServer> {
  const command = findProgram(PROGRAMS[kind]);
  if (command === undefined) {
    throw new Error(`no ${PROGRAMS[kind]} here; get it with 'sh bin/setup --servers'`);
  }
  const port = options.port ?? (await freePort());
  const args = kind === 'memcached' ? memcachedArgs(port, options) : redisArgs(port, options);
  const process = await startProcess({ command, args: [...args, ...(options.args ?? [])] });
  await eventually(`${kind} listens`, async () => {
    if (!process.isRunning) throw new Error(process.output);
    return (await listens(port)) ? true : undefined;
  });
  return {
    address: `127.0.0.1:${port}`,
    port,
    process,
    [Symbol.asyncDispose]: async () => {
      // A process that sleeps would not hear of its end.
      if (process.isRunning) process.kill('SIGCONT');
      await process.stop();
    },
  };
}

function memcachedArgs(port: number, { tls = false }: CacheServerOptions): string[] {
  const args = ['-l', '127.0.0.1', '-p', String(port), '-U', '0', '-m', '64'];
  if (process.getuid?.() === 0) args.push('-u', 'root');
  if (tls) args.push('-Z', '-o', `ssl_chain_cert=${CA_FILE},ssl_key=${KEY_FILE}`);
  return args;
}

function redisArgs(port: number, { tls = false }: CacheServerOptions): string[] {
  const args = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  if (!tls) return [...args, '--port', String(port)];
  args.push('--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no');
  return [...args, '--tls-cert-file', CA_FILE, '--tls-key-file', KEY_FILE];
}

function listens(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      answer(true);
    });
    socket.once('error', () => answer(false));
  });
}

/** The server as somebody else sees it who may write to it too. */
export interface Intruder extends AsyncDisposable {
  keys(): Promise<string[]>;
  get(key: string): Promise<Uint8Array>;
  set(key: string, value: Uint8Array): Promise<void>;
  /** Lets the server keep nothing any more that it does not have yet. */
  fill(): Promise<void>;
  /** Makes a node a cluster of its own. */
  ownAllSlots(): Promise<void>;
}

export function intrude(kind: CacheKind, port: number): Promise<Intruder> {
  return kind === 'memcached' ? intrudeMemcached(port) : intrudeRedis(port);
}

async function intrudeRedis(port: number): Promise<Intruder> {
  const { RESP_TYPES, createClient } = await import('@redis/client');
  const client = createClient({ socket: { host: '127.0.0.1', port } });
  client.on('error', () => undefined);
  await client.connect();
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return {
    keys: () => client.keys('*'),
    get: async (key) => (await binary.get(key)) ?? Buffer.alloc(0),
    set: async (key, value) => void (await client.set(key, Buffer.from(value), { KEEPTTL: true })),
    fill: async () => void (await client.configSet('maxmemory', '1')),
    ownAllSlots: async () => {
      await client.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
    },
    [Symbol.asyncDispose]: () => {
      client.destroy();
      return Promise.resolve();
    },
  };
}

async function intrudeMemcached(port: number): Promise<Intruder> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  const pieces = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const ask = async (request: Uint8Array | string, end: string): Promise<Buffer> => {
    socket.write(request);
    let reply = Buffer.alloc(0);
    while (!reply.subarray(-end.length).equals(Buffer.from(end))) {
      const { value, done } = await pieces.next();
      if (done === true) throw new Error('the server closed the connection');
      reply = Buffer.concat([reply, value]);
    }
    return reply;
  };
  const store = async (key: string, value: Uint8Array) => {
    const head = Buffer.from(`set ${key} 0 3600 ${value.length}\r\n`);
    return (await ask(Buffer.concat([head, value, Buffer.from('\r\n')]), '\r\n')).toString();
  };
  return {
    keys: async () => {
      const dump = (await ask('lru_crawler metadump all\r\n', 'END\r\n')).toString();
      return Array.from(dump.matchAll(/^key=(\S+)/gm), ([, key]) => decodeURIComponent(key!));
    },
    get: async (key) => {
      const reply = await ask(`get ${key}\r\n`, 'END\r\n');
      return reply.subarray(reply.indexOf('\r\n') + 2, -'\r\nEND\r\n'.length);
    },
    set: async (key, value) => void (await store(key, value)),
    fill: async () => {
      // Memory is given to sizes of values by the page, the first one whatever the bound says.
      for (const sizeBytes of [500_000, 200, 140, 100]) {
        for (let i = 0; i < 20_000; i++) {
          const reply = await store(`fill-${sizeBytes}-${i}`, new Uint8Array(sizeBytes));
          if (!reply.startsWith('STORED')) break;
        }
      }
    },
    ownAllSlots: () => Promise.reject(new Error('Memcached has no slots')),
    [Symbol.asyncDispose]: () => {
      socket.destroy();
      return Promise.resolve();
    },
  };
}
