import type { Channel } from '#/grpc/client.ts';
import type { Clock } from '#/lib/clock.ts';
import { UnavailableError, messageOf } from '#/lib/errors.ts';
import type { Labels } from '#/model/labels.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { RemoteStore, fetchInfo } from '#/storeapi/client.ts';
import type { EndpointInfo } from '#/storeapi/client.ts';
import type {
  SeriesBatch,
  SeriesRequest,
  Store,
  StoreContext,
  StoreInfo,
} from '#/storeapi/store.ts';

/** What is assumed of an endpoint that is always asked and never answered: it may have anything. */
const UNKNOWN_STORE: StoreInfo = {
  labelSets: [],
  mint: MIN_TIME,
  maxt: MAX_TIME,
  tsdbInfos: [],
  supportsSharding: false,
  supportsWithoutReplicaLabels: false,
};

const KNOWN_COMPONENTS = new Set(['query', 'sidecar', 'store', 'rule', 'receive', 'debug']);

/** One endpoint with its channels, and what its health checks have found. */
export class Endpoint {
  /** The address, or `thanos:///<address>` for a group. */
  readonly name: string;
  readonly isStrict: boolean;
  readonly store: Store;
  readonly #clock: Clock;
  readonly #dial: (address: string) => Channel;
  readonly #channels = new Map<string, Channel>();
  readonly #createdMs: number;
  #turn = 0;
  #info: EndpointInfo | undefined;
  #lastSuccessMs: number | undefined;
  #lastCheckMs: number | undefined;
  #lastError: string | undefined;

  constructor(options: {
    readonly name: string;
    readonly isStrict: boolean;
    readonly clock: Clock;
    readonly dial: (address: string) => Channel;
  }) {
    this.name = options.name;
    this.isStrict = options.isStrict;
    this.#clock = options.clock;
    this.#dial = options.dial;
    this.#createdMs = options.clock.now();
    this.store = new SpreadStore(this, options.clock);
  }

  get info(): EndpointInfo | undefined {
    return this.#info;
  }

  get storeInfo(): StoreInfo {
    const info = this.#info;
    if (info === undefined) return UNKNOWN_STORE;
    const labelSets = info.labelSets.filter((labels) => labels.size > 0);
    return { ...(info.store ?? UNKNOWN_STORE), labelSets };
  }

  get labelSets(): readonly Labels[] {
    return this.storeInfo.labelSets;
  }

  get component(): string {
    const component = this.#info?.component ?? '';
    return KNOWN_COMPONENTS.has(component) ? component : 'unknown-store-api';
  }

  get lastCheckMs(): number | undefined {
    return this.#lastCheckMs;
  }

  /** Why the last health check failed; `undefined` when it did not. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  get isHealthy(): boolean {
    return this.#info !== undefined && this.#lastError === undefined;
  }

  /** Whether calls go there: its last check succeeded, or it is asked whatever happens. */
  get isQueryable(): boolean {
    return this.isHealthy || this.isStrict;
  }

  /** Milliseconds without an answer, at least as long as the endpoint is known. */
  get silentMs(): number {
    return this.#clock.now() - (this.#lastSuccessMs ?? this.#createdMs);
  }

  /** The peers behind the endpoint; their channels stay open as long as they are among them. */
  usePeers(addresses: readonly string[]): void {
    for (const address of addresses) {
      if (!this.#channels.has(address)) this.#channels.set(address, this.#dial(address));
    }
    for (const [address, channel] of this.#channels) {
      if (addresses.includes(address)) continue;
      this.#channels.delete(address);
      channel[Symbol.dispose]();
    }
  }

  get peers(): number {
    return this.#channels.size;
  }

  /**
   * The channel whose turn it is.
   * @throws UnavailableError if the endpoint's address has no peers.
   */
  channel(): Channel {
    const channels = [...this.#channels.values()];
    const channel = channels[this.#turn++ % channels.length];
    if (channel === undefined) throw new UnavailableError(`${this.name}: no addresses found`);
    return channel;
  }

  /** Asks for the endpoint's metadata; a failure is remembered, not thrown. */
  async check(timeoutMs: number, signal: AbortSignal): Promise<void> {
    try {
      const options = { signal, timeoutMs, waitForReady: true };
      this.#info = await fetchInfo(this.channel(), options);
      this.#lastSuccessMs = this.#clock.now();
      this.#lastError = undefined;
    } catch (thrown) {
      signal.throwIfAborted();
      this.#lastError = messageOf(thrown);
    }
    this.#lastCheckMs = this.#clock.now();
  }

  close(): void {
    for (const channel of this.#channels.values()) channel[Symbol.dispose]();
    this.#channels.clear();
  }
}

/** Asks the peers of an endpoint in turn; one that is out of reach leaves the call to the next. */
class SpreadStore implements Store {
  readonly #endpoint: Endpoint;
  readonly #clock: Clock;
  readonly #stores = new WeakMap<Channel, Store>();

  constructor(endpoint: Endpoint, clock: Clock) {
    this.#endpoint = endpoint;
    this.#clock = clock;
  }

  info(): StoreInfo {
    return this.#endpoint.storeInfo;
  }

  async *series(request: SeriesRequest, context: StoreContext): AsyncGenerator<SeriesBatch> {
    for (let attempt = 1; ; attempt++) {
      let started = false;
      try {
        for await (const batch of this.#next().series(request, context)) {
          started = true;
          yield batch;
        }
        return;
      } catch (thrown) {
        if (started || !this.#mayRetry(thrown, attempt)) throw thrown;
      }
    }
  }

  labelNames(...args: Parameters<Store['labelNames']>): ReturnType<Store['labelNames']> {
    return this.#unary((store) => store.labelNames(...args));
  }

  labelValues(...args: Parameters<Store['labelValues']>): ReturnType<Store['labelValues']> {
    return this.#unary((store) => store.labelValues(...args));
  }

  async #unary<T>(call: (store: Store) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call(this.#next());
      } catch (thrown) {
        if (!this.#mayRetry(thrown, attempt)) throw thrown;
      }
    }
  }

  #mayRetry(thrown: unknown, attempt: number): boolean {
    return thrown instanceof UnavailableError && attempt < this.#endpoint.peers;
  }

  #next(): Store {
    const channel = this.#endpoint.channel();
    const known = this.#stores.get(channel);
    if (known !== undefined) return known;
    // The proxy minds the time between frames, for every kind of store.
    const store = new RemoteStore({
      channel,
      clock: this.#clock,
      info: () => this.info(),
      responseTimeoutMs: 0,
    });
    this.#stores.set(channel, store);
    return store;
  }
}
