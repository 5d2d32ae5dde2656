import type { Gate } from '#/lib/gate.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { BlockQuery, BucketBlock } from './bucket/bucket-block.ts';
import { selectBlocks } from './bucket/block-selection.ts';
import { mergeStreams } from './bucket/merge-streams.ts';
import { RequestLimiter } from './bucket/request-limiter.ts';
import type { RequestLimits } from './bucket/request-limiter.ts';
import { labelCompleter, matchExternalLabels } from './external-labels.ts';
import { shardFilter } from './shard.ts';
import type {
  LabelNamesRequest,
  LabelValuesRequest,
  SeriesBatch,
  SeriesRequest,
  Store,
  StoreContext,
  StoreInfo,
  StoreNames,
  TsdbInfo,
} from './store.ts';

export type { RequestLimits } from './bucket/request-limiter.ts';

/** Blocks with the same external labels, sorted by min, then max time. */
export interface BlockGroup {
  readonly labels: Labels;
  readonly blocks: readonly BucketBlock[];
}

/** The blocks to serve at this moment. */
export interface BlockGroups {
  groups(): readonly BlockGroup[];
}

export interface BucketStoreOptions {
  readonly blocks: BlockGroups;
  readonly limits: RequestLimits;
  /** Runs at most `--store.grpc.series-max-concurrency` Series calls at once. */
  readonly gate: Gate;
  /** Closed range that is served, in milliseconds; it may move with the clock. */
  readonly timeRange: () => { readonly mint: number; readonly maxt: number };
  readonly metrics: Metrics;
}

/** Serves the blocks in a bucket. One block that cannot be read fails the call: the caller decides what that means. */
export class BucketStore implements Store {
  readonly #options: BucketStoreOptions;
  readonly #blocksQueried;

  constructor(options: BucketStoreOptions) {
    this.#options = options;
    this.#blocksQueried = options.metrics.histogram({
      name: 'thanos_bucket_store_series_blocks_queried',
      help: 'Blocks that a Series call read.',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    });
  }

  /** Without blocks the range is inverted, so that no query selects this store. */
  info(): StoreInfo {
    const groups = this.#options.blocks.groups().filter(({ blocks }) => blocks.length > 0);
    const served = this.#options.timeRange();
    const all = groups.flatMap(({ blocks }) => blocks);
    const mint = Math.min(...all.map((block) => block.minTime), Number.MAX_SAFE_INTEGER);
    const maxt = Math.max(...all.map((block) => block.maxTime), Number.MIN_SAFE_INTEGER);
    return {
      labelSets: groups.map(({ labels }) => labels),
      mint: Math.max(mint, served.mint),
      maxt: Math.min(maxt, served.maxt),
      tsdbInfos: groups.flatMap(joinedRanges),
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
    };
  }

  async *series(
    request: SeriesRequest,
    { signal }: StoreContext,
  ): AsyncGenerator<SeriesBatch, void> {
    const { gate, limits } = this.#options;
    using _place = await gate.enter(signal);
    const limiter = new RequestLimiter(limits);
    const streams = this.#selected(request, request.maxResolutionMs).map(({ block, query }) =>
      block.series({ ...query, ...seriesWishes(request) }, limiter, signal),
    );
    this.#blocksQueried.observe(streams.length);
    yield* limited(mergeStreams(streams), request.limit);
  }

  async labelNames(request: LabelNamesRequest, { signal }: StoreContext): Promise<StoreNames> {
    const limiter = new RequestLimiter(this.#options.limits);
    const selected = this.#selected(request);
    const found = await Promise.all(
      selected.map(async ({ block, query }) => {
        const names = await block.labelNames(query, limiter, signal);
        // External labels belong to every series, so they are there when any series is.
        return names.length === 0
          ? []
          : [...names, ...Array.from(block.labels, ({ name }) => name)];
      }),
    );
    const replicaLabels = new Set(request.withoutReplicaLabels);
    const names = found.flat().filter((name) => !replicaLabels.has(name));
    return namesOf(names, request.limit, selected);
  }

  async labelValues(request: LabelValuesRequest, { signal }: StoreContext): Promise<StoreNames> {
    if (request.withoutReplicaLabels.includes(request.label)) return { names: [], warnings: [] };
    const limiter = new RequestLimiter(this.#options.limits);
    const selected = this.#selected(request);
    const found = await Promise.all(
      selected.map(async ({ block, query }) => {
        const external = block.labels.get(request.label);
        if (external === '') return block.labelValues(request.label, query, limiter, signal);
        const hasSeries =
          query.matchers.length === 0 ||
          (await block.labelNames({ ...query, limit: 1 }, limiter, signal)).length > 0;
        return hasSeries ? [external] : [];
      }),
    );
    return namesOf(found.flat(), request.limit, selected);
  }

  /** The blocks that a request is about, each with what it asks of the block. */
  #selected(
    request: LabelNamesRequest | SeriesRequest,
    maxResolutionMs?: number,
  ): { block: BucketBlock; query: BlockQuery }[] {
    const served = this.#options.timeRange();
    const mint = Math.max(request.mint, served.mint);
    const maxt = Math.min(request.maxt, served.maxt);
    return this.#options.blocks.groups().flatMap(({ labels, blocks }) => {
      const matchers = matchExternalLabels(request.matchers, labels);
      if (matchers === undefined) return [];
      const chosen =
        maxResolutionMs === undefined
          ? blocks.filter((block) => block.minTime <= maxt && block.maxTime > mint)
          : selectBlocks(blocks, mint, maxt, maxResolutionMs);
      const query: BlockQuery = {
        mint,
        maxt,
        matchers,
        aggregates: [],
        skipChunks: true,
        limit: request.limit,
        complete: labelCompleter(labels, request.withoutReplicaLabels),
        shard: shardFilter(undefined),
      };
      return chosen
        .filter((block) => hintMatches(block, request.blockMatchers))
        .map((block) => ({ block, query }));
    });
  }
}

function seriesWishes(
  request: SeriesRequest,
): Pick<BlockQuery, 'aggregates' | 'skipChunks' | 'shard'> {
  const { aggregates, skipChunks, shard } = request;
  return { aggregates, skipChunks, shard: shardFilter(shard) };
}

/** Whether a request's block matchers, on external labels and `__block_id`, let the block pass. */
function hintMatches(block: BucketBlock, matchers: readonly Matcher[] = []): boolean {
  return matchesAll(matchers, block.labels.with('__block_id', block.meta.ulid));
}

async function* limited(
  batches: AsyncIterable<SeriesBatch>,
  limit: number,
): AsyncGenerator<SeriesBatch, void> {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  for await (const batch of batches) {
    yield left >= batch.series.length ? batch : { ...batch, series: batch.series.slice(0, left) };
    left -= batch.series.length;
    if (left <= 0) return;
  }
}

function namesOf(
  names: readonly string[],
  limit: number,
  selected: readonly { readonly block: BucketBlock }[],
): StoreNames {
  const sorted = [...new Set(names)].sort(compareUtf8);
  return {
    names: limit > 0 ? sorted.slice(0, limit) : sorted,
    warnings: [],
    queriedBlocks: selected.map(({ block }) => block.meta.ulid),
  };
}

/** One entry for each stretch of time that the group's blocks cover without a hole. */
function joinedRanges({ labels, blocks }: BlockGroup): TsdbInfo[] {
  const joined: { labels: Labels; mint: number; maxt: number }[] = [];
  for (const { minTime, maxTime } of blocks) {
    const last = joined.at(-1);
    if (last !== undefined && minTime <= last.maxt) last.maxt = Math.max(last.maxt, maxTime);
    else joined.push({ labels, mint: minTime, maxt: maxTime });
  }
  return joined;
}
