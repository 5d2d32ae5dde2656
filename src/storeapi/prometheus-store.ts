import { BadInputError } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { matchExternalLabels } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { MAX_TIME } from '#/model/time.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { encodeSamples, toWireChunks } from '#/tsdb/chunk-encoder.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { labelCompleter } from './external-labels.ts';
import type { LookupRequest, PrometheusClient } from './prometheus-client.ts';
import type { ChunkedSeries, SampledSeries } from './prometheus/read-codec.ts';
import { shardFilter } from './shard.ts';
import { LimitCounter } from './store-limits.ts';
import type { StoreLimits } from './store-limits.ts';
import type {
  AggregateChunk,
  LabelNamesRequest,
  LabelValuesRequest,
  SeriesBatch,
  SeriesRequest,
  Store,
  StoreContext,
  StoreInfo,
  StoreNames,
  StoreSeries,
} from './store.ts';

/** What must be known of a Prometheus before it can be asked; whoever watches it keeps it fresh. */
export interface PrometheusState {
  readonly externalLabels: Labels;
  /** Nothing older is served, in milliseconds. */
  readonly mint: number;
  /** Its version, `0` when unknown. */
  readonly version: string;
}

export interface PrometheusStoreOptions {
  readonly client: PrometheusClient;
  readonly state: () => PrometheusState;
  readonly limits: StoreLimits;
  readonly metrics: Metrics;
}

/**
 * One Prometheus as a store, over its remote read. An answer is sorted before it leaves, so it is in
 * memory as a whole: Prometheus's order does not survive the merge with external labels (a label set
 * that is the beginning of another sorts first only until both get a label behind its end).
 */
export class PrometheusStore implements Store {
  readonly #client: PrometheusClient;
  readonly #state: () => PrometheusState;
  readonly #limits: StoreLimits;
  readonly #receivedFrames: { observe(frames: number): void };

  constructor({ client, state, limits, metrics }: PrometheusStoreOptions) {
    this.#client = client;
    this.#state = state;
    this.#limits = limits;
    this.#receivedFrames = metrics.histogram({
      name: 'prometheus_store_received_frames',
      help: 'Number of frames received per streamed response.',
      buckets: [10, 100, 1000, 10_000, 100_000],
    });
  }

  info(): StoreInfo {
    const { externalLabels, mint } = this.#state();
    const labelSets = externalLabels.size === 0 ? [] : [externalLabels];
    return {
      labelSets,
      mint,
      maxt: MAX_TIME,
      tsdbInfos: labelSets.map((labels) => ({ labels, mint, maxt: MAX_TIME })),
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
    };
  }

  async *series(request: SeriesRequest, context: StoreContext): AsyncGenerator<SeriesBatch, void> {
    const state = this.#state();
    const matchers = matchExternalLabels(request.matchers, state.externalLabels);
    if (matchers === undefined) return;
    if (matchers.length === 0) {
      throw new BadInputError('no matchers specified (excluding external labels)');
    }
    const mint = Math.max(request.mint, state.mint);
    if (mint > request.maxt) return;
    const clipped = { ...request, matchers, mint };
    const complete = labelCompleter(state.externalLabels, request.withoutReplicaLabels);
    const found = request.skipChunks
      ? await this.#labelSets(clipped, complete, context.signal)
      : await this.#chunks(clipped, complete, context.signal);
    found.sort((a, b) => compareLabels(a.labels, b.labels));
    yield* batchesOf(request.limit > 0 ? found.slice(0, request.limit) : found, request.batchSize);
  }

  async labelNames(request: LabelNamesRequest, { signal }: StoreContext): Promise<StoreNames> {
    const { externalLabels } = this.#state();
    const matchers = matchExternalLabels(request.matchers, externalLabels);
    if (matchers === undefined) return namesOf([], request);
    const lookup = lookupOf(request, matchers);
    const found = this.#answersMatchers(matchers)
      ? await this.#client.labelNames(lookup, signal)
      : (await this.#client.series(lookup, signal)).flatMap((flat) => every2nd(flat));
    if (found.length === 0) return namesOf([], request);
    const dropped = new Set(request.withoutReplicaLabels);
    const names = [...found, ...Array.from(externalLabels, ({ name }) => name)];
    return namesOf(
      names.filter((name) => !dropped.has(name)),
      request,
    );
  }

  async labelValues(request: LabelValuesRequest, { signal }: StoreContext): Promise<StoreNames> {
    const { label, withoutReplicaLabels } = request;
    if (label === '') throw new BadInputError('label name parameter cannot be empty');
    if (withoutReplicaLabels.includes(label)) return namesOf([], request);
    const { externalLabels } = this.#state();
    const matchers = matchExternalLabels(request.matchers, externalLabels);
    if (matchers === undefined) return namesOf([], request);
    const lookup = lookupOf(request, matchers);
    const external = externalLabels.get(label);
    if (external !== '') {
      const any = matchers.length === 0 || (await this.#client.series(lookup, signal)).length > 0;
      return namesOf(any ? [external] : [], request);
    }
    const values = this.#answersMatchers(matchers)
      ? await this.#client.labelValues(label, lookup, signal)
      : (await this.#client.series(lookup, signal)).flatMap((flat) => valuesOf(flat, label));
    return namesOf(values, request);
  }

  async #labelSets(
    request: SeriesRequest,
    complete: (labels: readonly string[]) => Labels,
    signal: AbortSignal,
  ): Promise<StoreSeries[]> {
    const keeps = shardFilter(request.shard);
    const counter = new LimitCounter(this.#limits);
    // A shard's share of the first series is not the first series of the shard.
    const limit = request.shard === undefined ? request.limit : 0;
    const found = new Map<string, StoreSeries>();
    for (const flat of await this.#client.series({ ...request, limit }, signal)) {
      const labels = complete(flat);
      if (!keeps(labels) || found.has(labels.key)) continue;
      counter.addSeries();
      found.set(labels.key, { labels, chunks: [] });
    }
    return [...found.values()];
  }

  async #chunks(
    request: SeriesRequest,
    complete: (labels: readonly string[]) => Labels,
    signal: AbortSignal,
  ): Promise<StoreSeries[]> {
    const answer = await this.#client.read(request, signal);
    const collector = new Collector(
      complete,
      shardFilter(request.shard),
      new LimitCounter(this.#limits),
    );
    if (answer.kind === 'samples') {
      for (const series of answer.series) collector.add(rechunk(series));
      return collector.found;
    }
    let frames = 0;
    try {
      for await (const batch of answer.batches) {
        frames += batch.length;
        for (const series of batch) collector.add(series);
      }
    } finally {
      this.#receivedFrames.observe(frames);
    }
    return collector.found;
  }

  /** Prometheus before 2.24 ignores matchers in look-ups of labels. */
  #answersMatchers(matchers: readonly Matcher[]): boolean {
    if (matchers.length === 0) return true;
    const version = /^(\d+)\.(\d+)\.\d+/.exec(this.#state().version);
    if (version === null) return false;
    const [major, minor] = [Number(version[1]), Number(version[2])];
    return major > 2 || (major === 2 && minor >= 24);
  }
}

/** Gathers the series of one answer and joins those that came in several frames. */
class Collector {
  readonly found: StoreSeries[] = [];
  readonly #complete: (labels: readonly string[]) => Labels;
  readonly #keeps: (labels: Labels) => boolean;
  readonly #counter: LimitCounter;
  #last: readonly string[] = [];
  #lastChunks: AggregateChunk[] | undefined;

  constructor(
    complete: (labels: readonly string[]) => Labels,
    keeps: (labels: Labels) => boolean,
    counter: LimitCounter,
  ) {
    this.#complete = complete;
    this.#keeps = keeps;
    this.#counter = counter;
  }

  add({ labels, chunks: sent }: ChunkedSeries): void {
    const chunks = sent.flatMap(wireChunks);
    if (chunks.length === 0) return;
    if (this.#lastChunks !== undefined && isSame(labels, this.#last)) {
      this.#counter.addChunks(chunks.length);
      this.#lastChunks.push(...chunks);
      return;
    }
    const complete = this.#complete(labels);
    this.#last = labels;
    this.#lastChunks = undefined;
    if (!this.#keeps(complete)) return;
    this.#counter.addSeries();
    this.#counter.addChunks(chunks.length);
    this.#lastChunks = [...chunks];
    this.found.push({ labels: complete, chunks: this.#lastChunks });
  }
}

/** Newer servers send encodings (XOR2) that StoreAPI has no names for; these are written anew. */
function wireChunks(chunk: AggregateChunk): readonly AggregateChunk[] {
  const { mint, maxt, raw } = chunk;
  if (raw === undefined || raw.encoding <= ChunkEncoding.FloatHistogram) return [chunk];
  return toWireChunks({ ...raw, mint, maxt }).map(toAggregateChunk);
}

function toAggregateChunk({ mint, maxt, encoding, data }: TimedChunk): AggregateChunk {
  return { mint, maxt, raw: { encoding, data } };
}

function rechunk({ labels, samples }: SampledSeries): ChunkedSeries {
  const chunks = encodeSamples(samples).map(toAggregateChunk);
  return { labels, chunks };
}

function* batchesOf(series: readonly StoreSeries[], batchSize: number): Generator<SeriesBatch> {
  const size = Math.max(1, batchSize);
  for (let at = 0; at < series.length; at += size) {
    yield { series: series.slice(at, at + size), warnings: [] };
  }
}

function lookupOf(
  { mint, maxt, limit }: LabelNamesRequest,
  matchers: readonly Matcher[],
): LookupRequest {
  return { matchers, mint, maxt, limit };
}

function namesOf(found: readonly string[], { limit }: LabelNamesRequest): StoreNames {
  const names = [...new Set(found)].sort(compareUtf8);
  return { names: limit > 0 ? names.slice(0, limit) : names, warnings: [] };
}

function every2nd(flat: readonly string[]): string[] {
  return flat.filter((_, i) => i % 2 === 0);
}

function valuesOf(flat: readonly string[], label: string): string[] {
  return flat.filter((_, i) => i % 2 === 1 && flat[i - 1] === label);
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
