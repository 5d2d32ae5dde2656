import { deadline } from '#/lib/deadline.ts';
import type { Clock } from '#/lib/clock.ts';
import { LimitError, UnavailableError, messageOf } from '#/lib/errors.ts';
import type { MemoryBudget } from '#/lib/memory-budget.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import { compareLabels } from '#/model/labels.ts';
import { formatGoDuration } from '#/model/time.ts';
import type { EncodedChunk } from '#/tsdb/chunk.ts';
import type { ProxyEndpoint } from './endpoint.ts';
import { shardFilter } from '../shard.ts';
import { StoreStats } from '../store-stats.ts';
import type { SeriesBatch, SeriesRequest, StoreContext, StoreSeries } from '../store.ts';
import { describeEndpoint, describeLabelSets } from './texts.ts';

export interface CollectOptions {
  readonly clock: Clock;
  /** The longest wait for the first frame and between frames; 0 for no bound. */
  readonly responseTimeoutMs: number;
  readonly budget: MemoryBudget;
}

/** What one endpoint answered. */
export interface Collected {
  readonly endpoint: ProxyEndpoint;
  /** Sorted by labels. A series may come in several pieces. */
  readonly series: readonly StoreSeries[];
  readonly warnings: readonly string[];
  /** What the endpoint says that it took. */
  readonly stats: StoreStats;
  /** Why the answer ends early; what came before the failure is kept. */
  readonly failure: string | undefined;
  /** Whether the endpoint broke the order that it has to keep. */
  readonly wasUnsorted: boolean;
  /** Frames, and about the bytes that what they brought holds on to. */
  readonly frames: number;
  readonly bytes: number;
}

/**
 * Reads an endpoint's whole answer. A peer that fails, stalls or never ends gives a failure and
 * what it sent until then; it cannot make this throw, except through the caller's signal and
 * budget.
 */
export async function collect(
  endpoint: ProxyEndpoint,
  request: SeriesRequest,
  context: StoreContext,
  options: CollectOptions,
): Promise<Collected> {
  const answer = await receive(endpoint, request, context, options);
  const { supportsSharding, supportsWithoutReplicaLabels } = endpoint.store.info();
  let { series } = answer;
  const strips = !supportsWithoutReplicaLabels && request.withoutReplicaLabels.length > 0;
  if (strips) series = withoutLabels(series, request.withoutReplicaLabels);
  if (!supportsSharding && request.shard !== undefined) {
    const keep = shardFilter(request.shard);
    series = series.filter(({ labels }) => keep(labels));
  }
  const sorted = isSorted(series);
  // The order is never taken on trust: a wrong one would double series and break deduplication.
  if (!sorted) series.sort((a, b) => compareLabels(a.labels, b.labels));
  const { warnings, stats, failure, frames, bytes } = answer;
  const wasUnsorted = !sorted && !strips;
  return { endpoint, series, warnings, stats, failure, wasUnsorted, frames, bytes };
}

interface Answer {
  series: StoreSeries[];
  readonly warnings: string[];
  readonly stats: StoreStats;
  failure: string | undefined;
  /** Series so far, where pieces of one that come in a row count once. */
  distinct: number;
  frames: number;
  bytes: number;
}

async function receive(
  endpoint: ProxyEndpoint,
  request: SeriesRequest,
  context: StoreContext,
  options: CollectOptions,
): Promise<Answer> {
  const answer: Answer = {
    series: [],
    warnings: [],
    stats: new StoreStats(),
    failure: undefined,
    distinct: 0,
    frames: 0,
    bytes: 0,
  };
  const call = new AbortController();
  const signal = AbortSignal.any([context.signal, call.signal]);
  let frames: AsyncIterator<SeriesBatch> | undefined;
  let started = false;
  try {
    frames = endpoint.store.series(request, { ...context, signal })[Symbol.asyncIterator]();
    for (;;) {
      const frame = await nextFrame(frames, signal, options);
      if (frame.done === true) break;
      started = true;
      takeFrame(frame.value, answer, options.budget);
      // It should have stopped by itself.
      if (request.limit > 0 && answer.distinct > request.limit) break;
    }
  } catch (thrown) {
    context.signal.throwIfAborted();
    if (thrown instanceof OverBudget) throw thrown.cause;
    answer.failure = failureText(endpoint, thrown, started);
  } finally {
    call.abort();
    close(frames);
  }
  return answer;
}

/** Tells the query's own budget from a limit that the peer ran into. */
class OverBudget extends Error {
  override readonly cause: LimitError;

  constructor(cause: LimitError) {
    super(cause.message);
    this.cause = cause;
  }
}

/** @throws SlowPeerError if the frame does not come in time. */
async function nextFrame(
  frames: AsyncIterator<SeriesBatch>,
  signal: AbortSignal,
  { clock, responseTimeoutMs }: CollectOptions,
): Promise<IteratorResult<SeriesBatch>> {
  if (responseTimeoutMs === 0) return untilAborted(frames.next(), signal);
  using limit = deadline(clock, responseTimeoutMs, signal);
  try {
    return await untilAborted(frames.next(), limit.signal);
  } catch (thrown) {
    if (!limit.expired) throw thrown;
    throw new SlowPeerError(`failed to receive any data in ${formatGoDuration(responseTimeoutMs)}`);
  }
}

class SlowPeerError extends Error {}

function takeFrame(frame: SeriesBatch, answer: Answer, budget: MemoryBudget): void {
  let bytes = 0;
  for (const series of frame.series) bytes += sizeOf(series);
  try {
    budget.reserve(bytes);
  } catch (thrown) {
    if (thrown instanceof LimitError) throw new OverBudget(thrown);
    throw thrown;
  }
  for (const series of frame.series) {
    const last = answer.series.at(-1);
    if (last === undefined || !last.labels.equals(series.labels)) answer.distinct++;
    answer.series.push(series);
  }
  answer.warnings.push(...frame.warnings);
  if (frame.stats !== undefined) answer.stats.add(frame.stats);
  answer.frames++;
  answer.bytes += bytes;
}

/** Objects and lists, as measured; what received bytes take besides, since their frames stay whole. */
const SERIES_OVERHEAD_BYTES = 350;
const LABEL_OVERHEAD_BYTES = 30;
const CHUNK_OVERHEAD_BYTES = 250;

/** About what a series holds on to. */
function sizeOf({ labels, chunks }: StoreSeries): number {
  let bytes = SERIES_OVERHEAD_BYTES + labels.size * LABEL_OVERHEAD_BYTES;
  for (const text of labels.flat) bytes += text.length;
  for (const { raw, count, sum, min, max, counter } of chunks) {
    bytes += CHUNK_OVERHEAD_BYTES + dataBytes(raw) + dataBytes(count) + dataBytes(sum);
    bytes += dataBytes(min) + dataBytes(max) + dataBytes(counter);
  }
  return bytes;
}

function dataBytes(part: EncodedChunk | undefined): number {
  return part === undefined ? 0 : part.data.length;
}

function failureText(endpoint: ProxyEndpoint, thrown: unknown, started: boolean): string {
  const name = describeEndpoint(endpoint);
  if (thrown instanceof SlowPeerError) return `${thrown.message} from ${name}: context canceled`;
  if (!started && thrown instanceof UnavailableError) {
    return `fetch series for ${describeLabelSets(endpoint)} ${name}: ${messageOf(thrown)}`;
  }
  return `receive series from ${name}: ${messageOf(thrown)}`;
}

/** Lets go of a stream without waiting for it: a stalled one would never answer. */
function close(frames: AsyncIterator<SeriesBatch> | undefined): void {
  void Promise.resolve(frames?.return?.()).catch(() => undefined);
}

function withoutLabels(series: readonly StoreSeries[], names: readonly string[]): StoreSeries[] {
  const dropped = new Set(names);
  return series.map(({ labels, chunks }) => ({ labels: labels.without(dropped), chunks }));
}

function isSorted(series: readonly StoreSeries[]): boolean {
  for (let i = 1; i < series.length; i++) {
    if (compareLabels(series[i - 1]!.labels, series[i]!.labels) > 0) return false;
  }
  return true;
}
