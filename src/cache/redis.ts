import type { ConnectionOptions } from 'node:tls';
import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import { UnavailableError, messageOf } from '#/lib/errors.ts';
import { untilSuccess } from '#/lib/retry.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import type { Log } from '#/telemetry/logger.ts';
import { behindSentinels, cluster, singleServer } from './redis/commands.ts';
import type { Commands, Library } from './redis/commands.ts';
import type { CacheServer, CacheServers } from './remote.ts';
import { ServerError } from './remote/server-error.ts';

export interface RedisOptions {
  /** `host:port`; several are nodes of one cluster, or sentinels when there is a `masterName`. */
  readonly addresses: readonly string[];
  readonly masterName: string;
  readonly prefix: string;
  readonly username: string;
  readonly password: string;
  readonly database: number;
  readonly dialTimeoutMs: number;
  /** A connection on which nothing comes for twice that long is given up. */
  readonly readTimeoutMs: number;
  /** Clear text without. */
  readonly tls: ConnectionOptions | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Between two tries to find a cluster's or the sentinels' servers. */
const DISCOVERY_RETRY_MS = 2000;

/**
 * Redis behind its own library, with sockets of its own; loaded by whoever configures it. Goes on
 * trying to connect, however long it takes; until then every operation fails at once.
 */
export async function openRedis(options: RedisOptions): Promise<CacheServers> {
  const redis = new Redis(options, await import('@redis/client'));
  await redis.open();
  return redis;
}

/** The library finds the node of a key, so this is one server to us. */
class Redis implements CacheServers, CacheServer {
  readonly kind = 'redis';
  readonly name: string;
  readonly #options: RedisOptions;
  readonly #library: Library;
  readonly #stop = new AbortController();
  readonly #firstFailure = Promise.withResolvers<never>();
  #commands: Commands;
  #isCluster: boolean;

  constructor(options: RedisOptions, library: Library) {
    const { addresses, masterName } = options;
    this.name = addresses.join(',');
    this.#options = options;
    this.#library = library;
    this.#isCluster = masterName === '' && addresses.length > 1;
    // It may come when nobody waits for it any more.
    this.#firstFailure.promise.catch(() => undefined);
    const settings = this.#settings();
    if (masterName !== '') this.#commands = behindSentinels(library, settings, masterName);
    else if (this.#isCluster) this.#commands = cluster(library, settings);
    else this.#commands = singleServer(library, settings);
  }

  /** Waits for the connection until one try has failed; it may come later. */
  async open(): Promise<void> {
    const { clock, dialTimeoutMs, log } = this.#options;
    using limit = deadline(clock, dialTimeoutMs);
    try {
      const tried = Promise.race([this.#connect(), this.#firstFailure.promise]);
      await untilAborted(tried, limit.signal);
    } catch (err) {
      log.warn('Redis cannot be reached; going on without, and trying again', { err });
    }
  }

  pick(): CacheServer {
    return this;
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const { prefix } = this.#options;
    const found = await this.#run((to) => to.getMany(keys.map((key) => prefix + key)));
    return found.map((value) => value ?? undefined);
  }

  async set(key: string, value: Uint8Array, ttlSeconds: number): Promise<void> {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
    await this.#run((to) => to.set(this.#options.prefix + key, bytes, ttlSeconds));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the cache is closed'));
    await this.#commands.close();
  }

  async #run<T>(work: (to: Commands) => Promise<T>): Promise<T> {
    try {
      return await work(this.#commands);
    } catch (thrown) {
      if (!(thrown instanceof this.#library.ErrorReply)) {
        throw new UnavailableError(messageOf(thrown), { cause: thrown });
      }
      if (/^(MOVED|CROSSSLOT) /.test(thrown.message)) this.#becomeCluster();
      throw new ServerError(thrown.message, { cause: thrown });
    }
  }

  /** One address of a cluster was given, and only its replies tell. */
  #becomeCluster(): void {
    if (this.#isCluster || this.#options.masterName !== '') return;
    this.#isCluster = true;
    this.#options.log.info('the cache is a Redis cluster', { address: this.name });
    void this.#commands.close();
    this.#commands = cluster(this.#library, this.#settings());
    void this.#connect();
  }

  /** Resolves when there is a connection, or none is wanted any more. Never rejects. */
  async #connect(): Promise<void> {
    const commands = this.#commands;
    const { clock } = this.#options;
    const connect = () => untilAborted(commands.connect(), this.#stop.signal);
    const failed = (thrown: unknown) => this.#failed(thrown);
    await untilSuccess(clock, DISCOVERY_RETRY_MS, this.#stop.signal, connect, failed).catch(
      () => undefined,
    );
  }

  #failed(cause: unknown): void {
    this.#firstFailure.reject(cause);
    if (this.#stop.signal.aborted) return;
    const fields = { server: this.name, error: messageOf(cause) };
    this.#options.log.debug('connection to Redis failed', fields);
  }

  #settings() {
    return {
      ...this.#options,
      silenceMs: 2 * this.#options.readTimeoutMs,
      failed: (cause: unknown) => this.#failed(cause),
    };
  }
}
