import { clientOf } from '#/grpc/client.ts';
import type { Caller } from '#/grpc/client.ts';
import type { CallOptions } from '#/grpc/method.ts';
import type { Clock } from '#/lib/clock.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import { LabelNamesResponseHints } from '#/proto/hints.ts';
import { InfoDefinition } from '#/proto/info.ts';
import type { StoreInfo as WireStoreInfo } from '#/proto/info.ts';
import { StoreDefinition } from '#/proto/store.ts';
import type { LabelSet } from '#/proto/types.ts';
import type { Any } from '#/proto/well-known.ts';
import { REQUEST_ID_KEY, START_TIMES_KEY, TENANT_KEY } from './service.ts';
import type {
  LabelNamesRequest,
  LabelValuesRequest,
  SeriesBatch,
  SeriesRequest,
  Store,
  StoreContext,
  StoreInfo,
  StoreNames,
} from './store.ts';
import {
  labelNamesRequestToWire,
  labelValuesRequestToWire,
  seriesRequestToWire,
} from './wire/requests.ts';
import { seriesMethod } from './wire/series-method.ts';

/** What an endpoint tells about itself. An API that it does not serve is `false` or absent. */
export interface EndpointInfo {
  /** As it was sent; queriers know `query`, `sidecar`, `store`, `rule`, `receive` and `debug`. */
  readonly component: string;
  readonly labelSets: readonly Labels[];
  readonly store?: StoreInfo;
  readonly rules: boolean;
  readonly targets: boolean;
  readonly metricMetadata: boolean;
  readonly exemplars: boolean;
  readonly status: boolean;
  readonly query: boolean;
}

/** Asks an endpoint what it serves. */
export async function fetchInfo(channel: Caller, options: CallOptions): Promise<EndpointInfo> {
  const sent = await clientOf(InfoDefinition, channel).info({}, options);
  const labelSets = sent.labelSets.map(labelsOf);
  return {
    component: sent.ComponentType,
    labelSets,
    ...(sent.store === undefined ? {} : { store: storeInfoOf(sent.store, labelSets) }),
    rules: sent.rules !== undefined,
    targets: sent.targets !== undefined,
    metricMetadata: sent.metricMetadata !== undefined,
    exemplars: sent.exemplars !== undefined,
    status: sent.status !== undefined,
    query: sent.query !== undefined,
  };
}

export interface RemoteStoreOptions {
  readonly channel: Caller;
  readonly clock: Clock;
  /** What is known of the store, asked for at every use; see `fetchInfo`. */
  readonly info: () => StoreInfo;
  /** How long the store may take for the next piece of a Series answer; 0 for ever. */
  readonly responseTimeoutMs: number;
}

/**
 * A store behind gRPC. A connection that breaks and a store that falls silent are `UnavailableError`s
 * with its address. What it sends is taken as it comes: series of one label set may follow each
 * other, and whoever merges checks the order.
 */
export class RemoteStore implements Store {
  readonly address: string;
  readonly #options: RemoteStoreOptions;
  readonly #method = seriesMethod();
  readonly #client;

  constructor(options: RemoteStoreOptions) {
    this.#options = options;
    this.address = options.channel.address;
    this.#client = clientOf(StoreDefinition, options.channel);
  }

  info(): StoreInfo {
    return this.#options.info();
  }

  async *series(request: SeriesRequest, context: StoreContext): AsyncGenerator<SeriesBatch, void> {
    const { channel, clock, responseTimeoutMs } = this.#options;
    using silence = new SilenceGuard(clock, responseTimeoutMs, this.address);
    const signal = AbortSignal.any([context.signal, silence.signal]);
    const frames = channel.stream(
      '/thanos.Store/Series',
      this.#method,
      seriesRequestToWire(request),
      { ...callOptions(context), signal },
    );
    silence.wait();
    for await (const batch of frames) {
      silence.rest();
      yield joined(batch);
      silence.wait();
    }
  }

  async labelNames(request: LabelNamesRequest, context: StoreContext): Promise<StoreNames> {
    const sent = await this.#client.labelNames(
      labelNamesRequestToWire(request),
      callOptions(context),
    );
    return { names: sent.names, warnings: sent.warnings, ...queriedBlocks(sent.hints) };
  }

  async labelValues(request: LabelValuesRequest, context: StoreContext): Promise<StoreNames> {
    const sent = await this.#client.labelValues(
      labelValuesRequestToWire(request),
      callOptions(context),
    );
    return { names: sent.values, warnings: sent.warnings, ...queriedBlocks(sent.hints) };
  }
}

/** Aborts when a wait takes too long. The consumer's own time between two waits does not count. */
class SilenceGuard implements Disposable {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #address: string;
  readonly #expiry = new AbortController();
  #timer: AbortController | undefined;

  constructor(clock: Clock, timeoutMs: number, address: string) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#address = address;
  }

  get signal(): AbortSignal {
    return this.#expiry.signal;
  }

  wait(): void {
    if (this.#timeoutMs === 0) return;
    this.#timer = new AbortController();
    this.#clock.sleep(this.#timeoutMs, this.#timer.signal).then(
      () => this.#expire(),
      () => undefined,
    );
  }

  rest(): void {
    this.#timer?.abort();
  }

  [Symbol.dispose](): void {
    this.rest();
  }

  #expire(): void {
    const text = `${this.#address}: failed to receive any data in ${this.#timeoutMs} ms`;
    this.#expiry.abort(new UnavailableError(text));
  }
}

function joined(batch: readonly SeriesBatch[]): SeriesBatch {
  if (batch.length === 1) return batch[0]!;
  const stats = batch.find((one) => one.stats !== undefined)?.stats;
  return {
    series: batch.flatMap(({ series }) => series),
    warnings: batch.flatMap(({ warnings }) => warnings),
    ...(stats === undefined ? {} : { stats }),
  };
}

function callOptions({ signal, tenant, requestId, startTimes }: StoreContext): CallOptions {
  return {
    signal,
    metadata: {
      [TENANT_KEY]: tenant,
      ...(requestId === undefined ? {} : { [REQUEST_ID_KEY]: requestId }),
      ...(startTimes === true ? { [START_TIMES_KEY]: 'true' } : {}),
    },
  };
}

/** Names and values have equal hints; those of an unknown kind are passed over. */
function queriedBlocks(hints: Any | undefined): { queriedBlocks?: string[] } {
  const known = /\/hintspb\.Label(Names|Values)ResponseHints$/;
  if (hints === undefined || !known.test(hints.typeUrl)) return {};
  const { queriedBlocks: blocks } = LabelNamesResponseHints.decode(hints.value);
  return { queriedBlocks: blocks.map(({ id }) => id) };
}

function storeInfoOf(sent: WireStoreInfo, labelSets: readonly Labels[]): StoreInfo {
  return {
    labelSets,
    mint: Number(sent.minTime),
    maxt: Number(sent.maxTime),
    supportsSharding: sent.supportsSharding,
    supportsWithoutReplicaLabels: sent.supportsWithoutReplicaLabels,
    tsdbInfos: sent.tsdbInfos.map(({ labels, minTime, maxTime }) => ({
      labels: labelsOf(labels ?? { labels: [] }),
      mint: Number(minTime),
      maxt: Number(maxTime),
    })),
  };
}

function labelsOf({ labels }: LabelSet): Labels {
  return Labels.from(labels);
}
