import { hash } from 'node:crypto';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { Gate } from '#/lib/gate.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { BreakerOpenError, CircuitBreaker } from './breaker.ts';
import type { BreakerConfig } from './breaker.ts';
import type { ByteCache } from './cache.ts';
import { openValue, sealValue } from './frame.ts';
import { RemoteMetrics } from './remote/metrics.ts';

/** One server, or several that share the keys out among themselves. */
export interface CacheServer {
  /** For messages. */
  readonly name: string;
  /** One entry a key. Rejects when the server fails, and as soon as `signal` aborts. */
  getMany(keys: readonly string[], signal: AbortSignal): Promise<(Uint8Array | undefined)[]>;
  set(key: string, value: Uint8Array, ttlSeconds: number, signal: AbortSignal): Promise<void>;
}

/** The servers of a cache, which may come and go. */
export interface CacheServers extends AsyncDisposable {
  readonly kind: 'memcached' | 'redis';
  /** Which server keeps a key; `undefined` while none is known. */
  pick(key: string): CacheServer | undefined;
}

export interface RemoteCacheOptions {
  /** What the cache is for: the label `name` of its metrics. */
  readonly name: string;
  readonly servers: CacheServers;
  /** How long an entry is kept when nobody says. */
  readonly ttlMs: number;
  /** Larger values are not kept; 0 for no bound. */
  readonly maxItemBytes: number;
  readonly getTimeoutMs: number;
  readonly setTimeoutMs: number;
  /** Reads that are under way at once; 0 for no bound. */
  readonly getConcurrency: number;
  /** Keys that one read asks for; 0 for as many as there are, up to a thousand. */
  readonly getBatch: number;
  readonly setConcurrency: number;
  /** Writes that wait; what comes on top is dropped. */
  readonly setQueue: number;
  readonly setBreaker: BreakerConfig | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A batch bounds what one reply brings into memory. */
const MAX_BATCH = 1000;
/** Bytes of writes that wait, however many they are. */
const MAX_QUEUE_BYTES = 64 * 1024 * 1024;

const WARN_EVERY_MS = 1000;

/** A server that fails is left alone, so that a query waits for it once and not at every step. */
const GET_BREAKER: BreakerConfig = {
  halfOpenMaxRequests: 1,
  openMs: 5000,
  minRequests: 3,
  consecutiveFailures: 3,
  failurePercent: 1,
};

/**
 * Our keys begin with it and no other program's do, nor those of an older form of our frames: a
 * store gateway of Thanos may use the same servers.
 */
const KEY_PREFIX = 'hsc1';
const PLAIN_KEY = /^[!-~]{1,230}$/;

interface Batch {
  readonly server: CacheServer;
  /** Places of the keys among those that were asked for. */
  readonly at: number[];
  readonly wireKeys: string[];
}

interface Write {
  readonly server: CacheServer;
  readonly frame: Uint8Array;
  readonly ttlSeconds: number;
}

/**
 * A cache on servers that are not trusted with anything: a server that is down, slow or full is a
 * miss within a bounded time, and so is every value that is not exactly what was stored (see
 * frame.ts). Writes wait in a bounded queue.
 */
export class RemoteCache implements ByteCache, AsyncDisposable {
  readonly #options: RemoteCacheOptions;
  readonly #metrics: RemoteMetrics;
  readonly #gets: Gate;
  readonly #getBreakers = new WeakMap<CacheServer, CircuitBreaker>();
  readonly #setBreaker: CircuitBreaker | undefined;
  readonly #queue = new Map<string, Write>();
  #queueBytes = 0;
  #writing = 0;
  #warnedMs = -Infinity;
  readonly #stop = new AbortController();

  constructor(options: RemoteCacheOptions) {
    this.#options = options;
    const { servers, name, metrics, setBreaker, clock } = options;
    this.#gets = new Gate(options.getConcurrency);
    this.#metrics = new RemoteMetrics(servers.kind, name, metrics, {
      max: options.getConcurrency,
      gate: this.#gets,
    });
    this.#setBreaker = setBreaker && new CircuitBreaker(setBreaker, clock);
  }

  async getMany(
    keys: readonly string[],
    signal?: AbortSignal,
  ): Promise<(Uint8Array | undefined)[]> {
    const found = Array.from<Uint8Array | undefined>({ length: keys.length });
    this.#metrics.requested(keys.length);
    const reads = Promise.all(this.#batches(keys).map((batch) => this.#read(batch, keys, found)));
    // A read that nobody waits for any more goes on to its own deadline: cutting it would cost its
    // connection and look like a failure of the server.
    await (signal === undefined ? reads : untilAborted(reads, signal).catch(() => undefined));
    return found;
  }

  set(key: string, value: Uint8Array, ttlMs = this.#options.ttlMs): void {
    const { maxItemBytes, setQueue, servers, clock } = this.#options;
    if (ttlMs <= 0 || this.#stop.signal.aborted) return;
    const wireKey = wireKeyOf(key);
    const server = servers.pick(wireKey);
    if (server === undefined) return;
    if (maxItemBytes > 0 && value.length > maxItemBytes) {
      this.#metrics.skipped('max-item-size');
    } else if (this.#breakerOf(server).isOpen || this.#setBreaker?.isOpen === true) {
      this.#metrics.skipped('circuit-breaker');
    } else if (this.#queue.size >= setQueue || this.#queueBytes + value.length > MAX_QUEUE_BYTES) {
      this.#metrics.skipped('async-buffer-full');
    } else {
      this.#queueBytes -= this.#queue.get(wireKey)?.frame.length ?? 0;
      const frame = sealValue(key, value, clock.now() + ttlMs);
      this.#queue.set(wireKey, { server, frame, ttlSeconds: Math.ceil(ttlMs / 1000) });
      this.#queueBytes += frame.length;
      this.#writeNext();
    }
  }

  /** Writes that wait are dropped. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the cache is closed'));
    this.#queue.clear();
    await this.#options.servers[Symbol.asyncDispose]();
  }

  /** The keys by server, cut into batches. Keys without a server are misses. */
  #batches(keys: readonly string[]): Batch[] {
    const { servers, getBatch } = this.#options;
    const limit = getBatch === 0 ? MAX_BATCH : getBatch;
    const batches: Batch[] = [];
    const open = new Map<CacheServer, Batch>();
    for (const [i, key] of keys.entries()) {
      const wireKey = wireKeyOf(key);
      const server = servers.pick(wireKey);
      if (server === undefined) continue;
      let batch = open.get(server);
      if (batch === undefined || batch.at.length === limit) {
        batch = { server, at: [], wireKeys: [] };
        open.set(server, batch);
        batches.push(batch);
      }
      batch.at.push(i);
      batch.wireKeys.push(wireKey);
    }
    return batches;
  }

  /** Puts what the server has, and what is what it should be, to its places. Never throws. */
  async #read(
    { server, at, wireKeys }: Batch,
    keys: readonly string[],
    found: (Uint8Array | undefined)[],
  ): Promise<void> {
    const breaker = this.#breakerOf(server);
    if (breaker.isOpen) return;
    const { clock, getTimeoutMs } = this.#options;
    const started = this.#metrics.start('getmulti', clock.now());
    try {
      using limit = deadline(clock, getTimeoutMs, this.#stop.signal);
      const frames = await this.#gets.run(limit.signal, () =>
        breaker.run(() => untilAborted(server.getMany(wireKeys, limit.signal), limit.signal)),
      );
      let [bytes, hits] = [0, 0];
      for (const [i, frame] of frames.entries()) {
        if (frame === undefined) continue;
        bytes += frame.length;
        const value = this.#open(keys[at[i]!]!, frame);
        if (value !== undefined) hits++;
        found[at[i]!] = value;
      }
      this.#metrics.hit(hits);
      this.#metrics.done('getmulti', started, clock.now(), bytes);
    } catch (thrown) {
      this.#failed('getmulti', server, breaker, thrown);
    }
  }

  #open(key: string, frame: Uint8Array): Uint8Array | undefined {
    const opened = openValue(key, frame);
    if (opened === undefined) {
      this.#metrics.rejected();
      return undefined;
    }
    if (opened.expiresMs <= this.#options.clock.now()) return undefined;
    return opened.value;
  }

  #writeNext(): void {
    for (const [key, write] of this.#queue) {
      if (this.#writing >= this.#options.setConcurrency) return;
      this.#queue.delete(key);
      this.#queueBytes -= write.frame.length;
      this.#writing++;
      void this.#write(key, write).finally(() => {
        this.#writing--;
        this.#writeNext();
      });
    }
  }

  async #write(key: string, { server, frame, ttlSeconds }: Write): Promise<void> {
    const { clock, setTimeoutMs } = this.#options;
    const started = this.#metrics.start('set', clock.now());
    const work = async () => {
      using limit = deadline(clock, setTimeoutMs, this.#stop.signal);
      await untilAborted(server.set(key, frame, ttlSeconds, limit.signal), limit.signal);
    };
    try {
      await (this.#setBreaker === undefined ? work() : this.#setBreaker.run(work));
      this.#metrics.done('set', started, clock.now(), frame.length);
    } catch (thrown) {
      this.#failed('set', server, this.#setBreaker, thrown);
    }
  }

  #failed(
    operation: 'getmulti' | 'set',
    server: CacheServer,
    breaker: CircuitBreaker | undefined,
    thrown: unknown,
  ): void {
    if (this.#stop.signal.aborted || thrown instanceof BreakerOpenError) return;
    this.#metrics.failed(operation, thrown);
    const { clock, log } = this.#options;
    const fields = { server: server.name, operation, err: thrown };
    // Many operations fail at once when a server goes; one line tells it.
    if (breaker?.isOpen === true && clock.now() >= this.#warnedMs + WARN_EVERY_MS) {
      this.#warnedMs = clock.now();
      log.warn('cache server fails; left alone for a while', fields);
    } else log.debug('cache operation failed', fields);
  }

  #breakerOf(server: CacheServer): CircuitBreaker {
    let breaker = this.#getBreakers.get(server);
    if (breaker === undefined) {
      breaker = new CircuitBreaker(GET_BREAKER, this.#options.clock);
      this.#getBreakers.set(server, breaker);
    }
    return breaker;
  }
}

/** Readable where the key is one that Memcached takes, else its hash. */
function wireKeyOf(key: string): string {
  if (PLAIN_KEY.test(key)) return `${KEY_PREFIX}:${key}`;
  return `${KEY_PREFIX}#${hash('sha256', key, 'base64url')}`;
}
