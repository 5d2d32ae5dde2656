import { BadInputError, LimitError, UnavailableError, messageOf } from '#/lib/errors.ts';
import type { Gate } from '#/lib/gate.ts';
import { MemoryBudget, unlimitedBudget } from '#/lib/memory-budget.ts';
import type { ProcessMemory } from '#/lib/process-memory.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { Labels } from '#/model/labels.ts';
import { matchesAll, matchExternalLabels } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { RequestTally } from '#/objstore/request-tally.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { SeriesDeletion } from '#/tsdb/series-deletion.ts';
import type { BlockQuery, BucketBlock } from './bucket/bucket-block.ts';
import { selectBlocks } from './bucket/block-selection.ts';
import type { SelectedBlock } from './bucket/block-selection.ts';
import { Losses } from './bucket/losses.ts';
import type { BlockReading } from './bucket/losses.ts';
import { mergeStreams } from './bucket/merge-streams.ts';
import { RequestLimiter } from './bucket/request-limiter.ts';
import type { RequestLimits } from './bucket/request-limiter.ts';
import { labelCompleter } from './external-labels.ts';
import { shardFilter } from './shard.ts';
import { StoreStats } from './store-stats.ts';
import { PartialResponse } from './store.ts';
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

/** What somebody deleted of blocks that still have it. */
export interface BlockDeletions {
  of(meta: BlockMeta): readonly SeriesDeletion[];
  /** Why answers may have deleted samples in them; empty while all is well. */
  readonly troubles: readonly string[];
}

export interface BucketStoreOptions {
  readonly blocks: BlockGroups;
  /** Default: nothing is deleted. */
  readonly deletions?: BlockDeletions;
  readonly limits: RequestLimits;
  /** Where what calls hold is counted. Default: nowhere. */
  readonly memory?: ProcessMemory;
  /** Runs at most `--store.grpc.series-max-concurrency` Series calls at once. */
  readonly gate: Gate;
  /** Closed range that is served, in milliseconds; it may move with the clock. */
  readonly timeRange: () => { readonly mint: number; readonly maxt: number };
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Serves the blocks in a bucket. Under WARN a chunk, series or block that cannot be read is a warning
 * that names it, and everything else is answered; under ABORT it fails the call. A limit, and the
 * caller's own abort, always do.
 */
export class BucketStore implements Store {
  readonly #options: BucketStoreOptions;
  readonly #blocksQueried;
  readonly #lostBlocks;

  constructor(options: BucketStoreOptions) {
    this.#options = options;
    this.#blocksQueried = options.metrics.histogram({
      name: 'thanos_bucket_store_series_blocks_queried',
      help: 'Blocks that a Series call read.',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    });
    this.#lostBlocks = options.metrics.counter({
      name: 'hindsight_bucket_store_block_read_failures_total',
      help: 'Blocks that a request read in part or not at all, since something failed.',
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

  async *series(request: SeriesRequest, context: StoreContext): AsyncGenerator<SeriesBatch, void> {
    using _place = await this.#options.gate.enter(context.signal);
    const call = this.#call(request, context);
    const troubles = this.#troubles(request);
    if (troubles.length > 0) yield { series: [], warnings: troubles };
    const streams = this.#selected(request, request.maxResolutionMs).map(({ block, query }) =>
      this.#blockSeries(block, { ...query, ...seriesWishes(request) }, call),
    );
    this.#blocksQueried.observe(streams.length);
    yield* limited(mergeStreams(streams), request.limit);
    if (request.wantsStats !== true) return;
    yield { series: [], warnings: [], stats: new StoreStats(streams.length, call.tally) };
  }

  async labelNames(request: LabelNamesRequest, context: StoreContext): Promise<StoreNames> {
    const replicaLabels = new Set(request.withoutReplicaLabels);
    return this.#names(request, context, async ({ block, query }, reading) => {
      const names = await block.labelNames(query, reading);
      // External labels belong to every series, so they are there when any series is.
      if (names.length > 0) for (const { name } of block.labels) names.push(name);
      return names.filter((name) => !replicaLabels.has(name));
    });
  }

  async labelValues(request: LabelValuesRequest, context: StoreContext): Promise<StoreNames> {
    if (request.withoutReplicaLabels.includes(request.label)) return { names: [], warnings: [] };
    return this.#names(request, context, async ({ block, query }, reading) => {
      const external = block.labels.get(request.label);
      if (external === '') return block.labelValues(request.label, query, reading);
      const hasSeries =
        query.matchers.length + query.deletions.length === 0 ||
        (await block.labelNames({ ...query, limit: 1 }, reading)).length > 0;
      return hasSeries ? [external] : [];
    });
  }

  /** What `read` finds in each of the blocks, together. */
  async #names(
    request: LabelNamesRequest,
    context: StoreContext,
    read: (selected: Selected, reading: BlockReading) => Promise<readonly string[]>,
  ): Promise<StoreNames> {
    const call = this.#call(request, context);
    const warnings = [...this.#troubles(request)];
    const names = new Set<string>();
    const selected = this.#selected(request);
    const readOne = async (one: Selected) => {
      const reading = readingOf(one.block, call);
      try {
        for (const name of await read(one, reading)) names.add(name);
        warnings.push(...reading.losses.takeLast());
        this.#noteLosses(one.block, reading);
      } catch (thrown) {
        warnings.push(this.#lost(one.block, thrown, call));
      }
    };
    await Promise.all(selected.map(readOne));
    const sorted = [...names].sort(compareUtf8);
    return {
      names: request.limit > 0 ? sorted.slice(0, request.limit) : sorted,
      warnings,
      queriedBlocks: selected.map(({ block }) => block.meta.ulid),
    };
  }

  /** Deleted samples in an answer are said, and fail a call that wants all or nothing. */
  #troubles({ partialResponse }: LabelNamesRequest | SeriesRequest): readonly string[] {
    const { troubles = [] } = this.#options.deletions ?? {};
    const [first] = troubles;
    if (first === undefined || partialResponse === PartialResponse.Warn) return troubles;
    throw new UnavailableError(first);
  }

  #call({ partialResponse }: LabelNamesRequest | SeriesRequest, { signal }: StoreContext): Call {
    const limiter = new RequestLimiter(this.#options.limits, budgetOf(this.#options.memory));
    return { partialResponse, signal, limiter, tally: new RequestTally() };
  }

  async *#blockSeries(
    block: BucketBlock,
    query: BlockQuery,
    call: Call,
  ): AsyncGenerator<SeriesBatch, void> {
    const reading = readingOf(block, call);
    try {
      yield* block.series(query, reading);
      this.#noteLosses(block, reading);
    } catch (thrown) {
      yield { series: [], warnings: [...reading.losses.take(), this.#lost(block, thrown, call)] };
    }
  }

  /** The warning for a block of which nothing more can be read. @throws what must fail the call. */
  #lost(block: BucketBlock, thrown: unknown, { partialResponse, signal }: Call): string {
    signal.throwIfAborted();
    const isOurs = thrown instanceof LimitError || thrown instanceof BadInputError;
    if (isOurs || partialResponse === PartialResponse.Abort) throw thrown;
    this.#lostBlocks.inc();
    this.#options.log.warn('block cannot be read; the other blocks are answered', {
      block: block.meta.ulid,
      err: thrown,
    });
    const name = `block ${block.meta.ulid}`;
    const text = messageOf(thrown);
    return text.startsWith(name) ? text : `${name}: ${text}`;
  }

  #noteLosses(block: BucketBlock, { losses }: BlockReading): void {
    if (losses.count === 0) return;
    this.#lostBlocks.inc();
    this.#options.log.warn('block is damaged; the rest of it is answered', {
      block: block.meta.ulid,
      parts: losses.count,
      err: losses.first,
    });
  }

  /** The blocks that a request is about, each with what it asks of the block. */
  #selected(request: LabelNamesRequest | SeriesRequest, maxResolutionMs?: number): Selected[] {
    const served = this.#options.timeRange();
    const mint = Math.max(request.mint, served.mint);
    const maxt = Math.min(request.maxt, served.maxt);
    return this.#options.blocks.groups().flatMap(({ labels, blocks }) => {
      const matchers = matchExternalLabels(request.matchers, labels);
      if (matchers === undefined) return [];
      const chosen =
        maxResolutionMs === undefined
          ? overlapping(blocks, mint, maxt)
          : selectBlocks(blocks, mint, maxt, maxResolutionMs);
      const query: Omit<BlockQuery, 'mint' | 'maxt' | 'deletions'> = {
        matchers,
        aggregates: [],
        skipChunks: true,
        limit: request.limit,
        complete: labelCompleter(labels, request.withoutReplicaLabels),
        completedNames: new Set([
          ...request.withoutReplicaLabels,
          ...Array.from(labels, ({ name }) => name),
        ]),
        shard: shardFilter(undefined),
      };
      return chosen
        .filter(({ block }) => hintMatches(block, request.blockMatchers))
        .flatMap(({ block, ...range }) => {
          const deletions = this.#options.deletions?.of(block.meta) ?? [];
          if (isDeleted(block, deletions)) return [];
          return [{ block, query: { ...query, ...range, deletions } }];
        });
    });
  }
}

/** Whether nothing is left of a block. */
function isDeleted(
  { minTime, maxTime }: BucketBlock,
  deletions: readonly SeriesDeletion[],
): boolean {
  return deletions.some(
    ({ matchers, intervals }) =>
      matchers.length === 0 &&
      intervals.some(({ mint, maxt }) => mint <= minTime && maxt >= maxTime),
  );
}

/** A call may take all there is; what others hold bounds it. */
function budgetOf(memory: ProcessMemory | undefined): MemoryBudget {
  if (memory === undefined) return unlimitedBudget();
  const { limitBytes, flag } = memory;
  return new MemoryBudget({ what: 'call', limitBytes, flag, process: memory });
}

/** A block that a request is about, and what it asks of it. */
interface Selected {
  readonly block: BucketBlock;
  readonly query: BlockQuery;
}

/** What all blocks of one request have in common. */
interface Call {
  readonly partialResponse: PartialResponse;
  readonly limiter: RequestLimiter;
  readonly tally: RequestTally;
  readonly signal: AbortSignal;
}

function readingOf(block: BucketBlock, { partialResponse, ...call }: Call): BlockReading {
  return { ...call, losses: new Losses(partialResponse, block.meta.ulid) };
}

function seriesWishes(
  request: SeriesRequest,
): Pick<BlockQuery, 'aggregates' | 'skipChunks' | 'shard'> {
  const { aggregates, skipChunks, shard } = request;
  return { aggregates, skipChunks, shard: shardFilter(shard) };
}

function overlapping(
  blocks: readonly BucketBlock[],
  mint: number,
  maxt: number,
): SelectedBlock<BucketBlock>[] {
  return blocks
    .filter((block) => block.minTime <= maxt && block.maxTime > mint)
    .map((block) => ({ block, mint, maxt }));
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
