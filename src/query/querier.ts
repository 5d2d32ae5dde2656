import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { LimitError } from '#/lib/errors.ts';
import { Gate } from '#/lib/gate.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { printMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import type {
  LabelsRequest,
  NamesResult,
  QueryContext,
  Queryable,
  SelectRequest,
  SeriesSet,
} from '#/storage/queryable.ts';
import type { MissingPart, ProxyContext, ProxyStore } from '#/storeapi/proxy-store.ts';
import type { StoreStats } from '#/storeapi/store-stats.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import type { AggregateChunk, SeriesRequest, ShardInfo, StoreSeries } from '#/storeapi/store.ts';
import { aggregateFor, aggregatesOf, resolutionFor, seenRange } from './aggregates.ts';
import type { Completeness } from './partial-response.ts';
import type { Replicas } from './select/chunk-bytes.ts';
import { describeResolutions } from './select/describe-resolutions.ts';
import { SeriesReader, StoredSeries } from './select/stored-series.ts';

/** What a query's parameters decide about the reading of its series. */
export interface QueryableOptions {
  readonly dedup: boolean;
  readonly replicaLabels: readonly string[];
  readonly algorithm: DedupAlgorithm;
  readonly partialResponse: PartialResponse;
  /** Coarsest resolution allowed, in milliseconds; 0 for raw data only. */
  readonly maxResolutionMs: number;
  /** `storeMatch[]`: alternatives of matchers on `__address__`. */
  readonly storeMatchers: readonly (readonly Matcher[])[];
  readonly tenant: string;
  readonly requestId?: string;
  /** Only labels are wanted; reading such a series gives no samples. */
  readonly skipChunks?: boolean;
  readonly shard?: ShardInfo;
  /** Samples come with their start timestamps where the stores keep them. */
  readonly startTimes?: boolean;
  /** Where it is written down what the answers lack. */
  readonly completeness: Completeness;
  /** Where it is added up what the stores say that answering took. */
  readonly storeStats?: StoreStats;
}

const BATCH_SIZE = 64;

/** Makes the series behind a proxy readable for PromQL, without their replicas. */
export class Querier {
  readonly #proxy: ProxyStore;
  readonly #maxConcurrentSelects: number;
  readonly #maxSeries: number;

  /**
   * At most `maxConcurrentSelects` selects of one query run at once, and none of them may find more
   * than `maxSeries` (`--query.max-series`); 0 for no bound.
   */
  constructor(proxy: ProxyStore, maxConcurrentSelects: number, maxSeries = 0) {
    this.#proxy = proxy;
    this.#maxConcurrentSelects = maxConcurrentSelects;
    this.#maxSeries = maxSeries;
  }

  /** The source of one query. */
  queryable(options: QueryableOptions): Queryable {
    const gate = new Gate(this.#maxConcurrentSelects);
    return {
      select: (request, context) =>
        gate.run(context.signal, async () => {
          const found = await select(this.#proxy, options, request, context);
          if (options.skipChunks !== true) this.#checkSeries(found, request);
          return found;
        }),
      labelNames: (request, context) =>
        this.#labels(options, request, context, (labels, inner) =>
          this.#proxy.labelNames(labels, inner),
        ),
      labelValues: (label, request, context) =>
        this.#labels(options, request, context, (labels, inner) =>
          this.#proxy.labelValues({ ...labels, label }, inner),
        ),
    };
  }

  #checkSeries({ series: { length } }: SeriesSet, { matchers }: SelectRequest): void {
    if (this.#maxSeries === 0 || length <= this.#maxSeries) return;
    const selector = `{${matchers.map(printMatcher).join(',')}}`;
    throw new LimitError(
      `${selector} has ${length} series, over the limit of ${this.#maxSeries} (--query.max-series); ` +
        'add matchers, or raise the limit',
    );
  }

  async #labels(
    options: QueryableOptions,
    { matchers, mint, maxt, limit }: LabelsRequest,
    context: QueryContext,
    ask: (request: LabelsLookup, context: ProxyContext) => Promise<NamesResult>,
  ): Promise<NamesResult> {
    const lost = new LostParts(options);
    const { partialResponse } = options;
    const withoutReplicaLabels = options.dedup ? options.replicaLabels : [];
    const { names, warnings } = await ask(
      { mint, maxt, matchers, limit, partialResponse, withoutReplicaLabels },
      proxyContext(options, context, lost),
    );
    return { names, warnings: lost.addTo(warnings) };
  }
}

type LabelsLookup = Parameters<ProxyStore['labelNames']>[0];

async function select(
  proxy: ProxyStore,
  options: QueryableOptions,
  { matchers, mint, maxt, hints }: SelectRequest,
  context: QueryContext,
): Promise<SeriesSet> {
  const { skipChunks = false, shard } = options;
  const dedups = options.dedup && options.replicaLabels.length > 0;
  // Our algorithm must know whose sample is whose. With a limit the stores have to count the
  // series as the caller sees them, so they merge the replicas, and overlaps stand for them.
  const merged = options.algorithm !== 'sticky' || hints.limit > 0 || skipChunks;
  const choice = aggregateFor(hints.func);
  const request: SeriesRequest = {
    mint,
    maxt,
    matchers,
    maxResolutionMs: resolutionFor(options.maxResolutionMs, hints),
    aggregates: aggregatesOf(choice),
    skipChunks,
    partialResponse: options.partialResponse,
    withoutReplicaLabels: dedups && merged ? options.replicaLabels : [],
    limit: hints.limit,
    wantsStats: options.storeStats !== undefined,
    batchSize: BATCH_SIZE,
    ...(shard === undefined ? {} : { shard: withoutReplicas(shard, dedups, options) }),
  };
  const lost = new LostParts(options);
  const found: StoreSeries[] = [];
  const warnings: string[] = [];
  for await (const batch of proxy.series(request, proxyContext(options, context, lost))) {
    for (const series of batch.series) found.push(series);
    warnings.push(...batch.warnings);
    if (batch.stats !== undefined) options.storeStats?.add(batch.stats);
  }
  const reading = {
    kind: 'stored',
    algorithm: dedups ? options.algorithm : undefined,
    choice,
    func: hints.func,
    rangeMs: seenRange(hints),
    mint,
    maxt,
  } as const;
  const reader = new SeriesReader(reading, {
    budget: context.budget,
    onDamage: (error) => {
      if (options.partialResponse === PartialResponse.Abort) throw error;
      options.completeness.addDamage(error.message);
    },
  });
  const groups = dedups && !merged ? groupReplicas(found, options.replicaLabels) : lone(found);
  const resolutions = describeResolutions(found, matchers);
  return {
    series: groups.map(({ labels, replicas }) => new StoredSeries(labels, replicas, reader)),
    warnings: lost.addTo(warnings),
    infos: resolutions === undefined ? [] : [resolutions],
  };
}

interface ReplicaGroup {
  readonly labels: Labels;
  readonly replicas: Replicas;
}

function lone(found: readonly StoreSeries[]): ReplicaGroup[] {
  return found.map(({ labels, chunks }) => ({ labels, replicas: [chunks] }));
}

/**
 * Series that differ in replica labels only become one, with the one that has none of them first: it
 * was made of the others by compaction. Taking labels out can change the order.
 */
function groupReplicas(
  found: readonly StoreSeries[],
  replicaLabels: readonly string[],
): ReplicaGroup[] {
  const names = new Set(replicaLabels);
  const groups = new Map<string, { labels: Labels; replicas: (readonly AggregateChunk[])[] }>();
  for (const { labels, chunks } of found) {
    const rest = labels.without(names);
    const { replicas } = groups.getOrInsertComputed(rest.key, () => ({
      labels: rest,
      replicas: [[]],
    }));
    if (rest.size === labels.size) replicas[0] = [...replicas[0]!, ...chunks];
    else replicas.push(chunks);
  }
  return [...groups.values()].sort((a, b) => compareLabels(a.labels, b.labels));
}

/** A shard must hold all replicas of a series, so their labels take no part in the hash. */
function withoutReplicas(
  shard: ShardInfo,
  dedups: boolean,
  { replicaLabels }: QueryableOptions,
): ShardInfo {
  if (!dedups) return shard;
  const replicas = new Set(replicaLabels);
  const labels = shard.by
    ? shard.labels.filter((name) => !replicas.has(name))
    : [...new Set([...shard.labels, ...replicaLabels])];
  return { ...shard, labels };
}

function proxyContext(
  { tenant, requestId, storeMatchers, startTimes }: QueryableOptions,
  { signal, budget, onSource }: QueryContext,
  lost: LostParts,
): ProxyContext {
  return {
    signal,
    tenant,
    storeMatchers,
    budget,
    onMissing: (part) => lost.add(part),
    ...(requestId === undefined ? {} : { requestId }),
    ...(startTimes === undefined ? {} : { startTimes }),
    ...(onSource === undefined ? {} : { onSource }),
  };
}

/** Writes missing parts down, and makes warnings of those that ABORT lets pass silently. */
class LostParts {
  readonly #options: QueryableOptions;
  readonly #reasons: string[] = [];

  constructor(options: QueryableOptions) {
    this.#options = options;
  }

  add(part: MissingPart): void {
    this.#options.completeness.add(part);
    this.#reasons.push(part.reason);
  }

  addTo(warnings: readonly string[]): readonly string[] {
    if (this.#options.partialResponse === PartialResponse.Warn) return [...new Set(warnings)];
    return [...new Set([...warnings, ...this.#reasons])];
  }
}
