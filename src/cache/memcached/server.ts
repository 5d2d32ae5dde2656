import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '#/lib/clock.ts';
import type { Net } from '#/lib/net.ts';
import { splitAddress } from '#/lib/net.ts';
import { secureStream } from '#/http/tls.ts';
import type { CacheServer } from '../remote.ts';
import { Connection } from './connection.ts';

export interface ServerOptions {
  readonly net: Net;
  readonly clock: Pick<Clock, 'now'>;
  /** Idle connections that are kept. */
  readonly maxIdle: number;
  /** A longer value is not believed. */
  readonly maxValueBytes: number;
  /** Asked at every new connection; clear text without. */
  readonly tls?: () => Promise<ConnectionOptions>;
}

/** Memcached takes longer times for a date. */
const MAX_RELATIVE_SECONDS = 30 * 24 * 3600;

/** A Memcached server and the connections to it that nobody uses at the moment. */
export class MemcachedServer implements CacheServer {
  readonly name: string;
  readonly #options: ServerOptions;
  readonly #idle: Connection[] = [];
  readonly #closed = new AbortController();

  constructor(address: string, options: ServerOptions) {
    this.name = address;
    this.#options = options;
  }

  getMany(keys: readonly string[], signal: AbortSignal): Promise<(Uint8Array | undefined)[]> {
    return this.#use(signal, async (connection) => {
      const found = await connection.getMany(keys, signal);
      return keys.map((key) => found.get(key));
    });
  }

  set(key: string, value: Uint8Array, ttlSeconds: number, signal: AbortSignal): Promise<void> {
    const expires =
      ttlSeconds <= MAX_RELATIVE_SECONDS
        ? ttlSeconds
        : Math.floor(this.#options.clock.now() / 1000) + ttlSeconds;
    return this.#use(signal, (connection) => connection.set(key, value, expires, signal));
  }

  clusterNodes(signal: AbortSignal): Promise<string[]> {
    return this.#use(signal, (connection) => connection.clusterNodes(signal));
  }

  close(): void {
    this.#closed.abort(new Error('the cache is closed'));
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  async #use<T>(signal: AbortSignal, work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = this.#takeIdle() ?? (await this.#connect(signal));
    try {
      return await work(connection);
    } finally {
      const isKept = connection.isUsable && this.#idle.length < this.#options.maxIdle;
      if (isKept && !this.#closed.signal.aborted) this.#idle.push(connection);
      else connection.close();
    }
  }

  /** The one used last: the others may rest until the server ends them. */
  #takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || connection.isUsable) return connection;
    }
  }

  async #connect(signal: AbortSignal): Promise<Connection> {
    const { net, tls, maxValueBytes } = this.#options;
    const secrets = await tls?.();
    const plain = await net.dial(this.name, AbortSignal.any([signal, this.#closed.signal]));
    if (secrets === undefined) return new Connection(plain, maxValueBytes);
    const { host } = splitAddress(this.name);
    return new Connection(await secureStream(plain, host, secrets, signal), maxValueBytes);
  }
}
