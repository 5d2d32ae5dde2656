import type { ConnectionOptions } from 'node:tls';
import xxhash from 'xxhash-wasm';
import { every } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { messageOf } from '#/lib/errors.ts';
import type { Net } from '#/lib/net.ts';
import type { Log } from '#/telemetry/logger.ts';
import { jumpHash } from './memcached/jump-hash.ts';
import { MemcachedServer } from './memcached/server.ts';
import type { CacheServer, CacheServers } from './remote.ts';

/** Finds the servers behind configured addresses: discovery/dns.ts. */
export interface AddressSource {
  /** Looks the addresses up. */
  update(addresses: readonly string[]): Promise<void>;
  /** Those behind one address, as of the last update. */
  peers(address: string): readonly string[];
}

export interface MemcachedOptions {
  /** `host:port`, or names to look up (`dns+host:port`, `dnssrv+service` …). */
  readonly addresses: readonly string[];
  readonly source: AddressSource;
  readonly updateIntervalMs: number;
  /** The addresses are those of clusters that tell their nodes themselves (ElastiCache). */
  readonly autoDiscovery: boolean;
  readonly timeoutMs: number;
  readonly maxIdleConnections: number;
  /** A longer value is not believed. */
  readonly maxValueBytes: number;
  /** Asked at every new connection; clear text without. */
  readonly tls?: () => Promise<ConnectionOptions>;
  readonly net: Net;
  readonly clock: Clock;
  readonly log: Log;
}

const hasher = await xxhash();

/** A start waits so long for names to be found; then it goes on without servers. */
const FIRST_UPDATE_MS = 10_000;

/**
 * Memcached servers that share the keys out by a consistent hash, so that a change of the servers
 * moves few keys. Names are looked up again and again; none found is an empty cache, no failure.
 */
export async function openMemcached(options: MemcachedOptions): Promise<CacheServers> {
  const servers = new MemcachedServers(options);
  await servers.open();
  return servers;
}

class MemcachedServers implements CacheServers {
  readonly kind = 'memcached';
  readonly #options: MemcachedOptions;
  readonly #byAddress = new Map<string, MemcachedServer>();
  readonly #stop = new AbortController();
  #servers: readonly MemcachedServer[] = [];
  #updates: Promise<void> | undefined;

  constructor(options: MemcachedOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { clock, updateIntervalMs } = this.#options;
    using limit = deadline(clock, FIRST_UPDATE_MS);
    await Promise.race([
      this.#update(),
      new Promise<void>((expired) => limit.signal.addEventListener('abort', () => expired())),
    ]);
    this.#updates = every(clock, updateIntervalMs, this.#stop.signal, () => this.#update());
  }

  pick(key: string): CacheServer | undefined {
    if (this.#servers.length <= 1) return this.#servers[0];
    return this.#servers[jumpHash(hasher.h64(key), this.#servers.length)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the cache is closed'));
    for (const server of this.#byAddress.values()) server.close();
    await this.#updates;
  }

  async #update(): Promise<void> {
    const { addresses, source, log } = this.#options;
    await source.update(addresses);
    const configured = addresses.flatMap((address) => source.peers(address));
    const found = this.#options.autoDiscovery ? await this.#nodesOf(configured) : configured;
    if (found.length === 0) {
      log.warn('no address of a cache server is known; going on without', { addresses });
      // Those that were known are better than none.
      return;
    }
    this.#use([...new Set(found)].sort(naturally));
  }

  /** The nodes of all clusters that answer. */
  async #nodesOf(clusters: readonly string[]): Promise<string[]> {
    const { clock, timeoutMs, log } = this.#options;
    const nodes = await Promise.all(
      clusters.map(async (address) => {
        const server = this.#newServer(address);
        try {
          using limit = deadline(clock, timeoutMs, this.#stop.signal);
          return await server.clusterNodes(limit.signal);
        } catch (thrown) {
          log.warn('a cluster does not tell its nodes', { address, err: messageOf(thrown) });
          return [];
        } finally {
          server.close();
        }
      }),
    );
    return nodes.flat();
  }

  #use(addresses: readonly string[]): void {
    if (this.#stop.signal.aborted) return;
    for (const [address, server] of this.#byAddress) {
      if (addresses.includes(address)) continue;
      this.#byAddress.delete(address);
      server.close();
    }
    this.#servers = addresses.map((address) => {
      const server = this.#byAddress.get(address) ?? this.#newServer(address);
      this.#byAddress.set(address, server);
      return server;
    });
  }

  #newServer(address: string): MemcachedServer {
    const { net, clock, maxIdleConnections, maxValueBytes, tls } = this.#options;
    return new MemcachedServer(address, {
      net,
      clock,
      maxIdle: maxIdleConnections,
      maxValueBytes,
      ...(tls === undefined ? {} : { tls }),
    });
  }
}

const collator = new Intl.Collator('en', { numeric: true });

/** `host-2` before `host-10`, so that a server more moves few keys. */
function naturally(a: string, b: string): number {
  return collator.compare(a, b);
}
