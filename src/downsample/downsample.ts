import { CorruptionError, BadInputError } from '#/lib/errors.ts';
import { isStale } from '#/model/stale.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import {
  ChunkEncoding,
  chunkSampleCount,
  decodeChunk,
  decodeHistogramChunk,
  histogramGroup,
  isHistogramEncoding,
} from '#/tsdb/chunk.ts';
import type { EncodedChunk, TimedChunk } from '#/tsdb/chunk.ts';
import { HistogramRows } from '#/tsdb/histogram-rows.ts';
import type { HistogramGroup } from '#/tsdb/histogram-rows.ts';
import {
  aggregatesHistograms,
  anyChunkSampleCount,
  readAggregateChunk,
  writeAggregateChunk,
} from './aggregate-chunk.ts';
import type { AggregateLanes, Lane } from './aggregate-chunk.ts';
import { targetChunkCount, windowEnd } from './aggregate/chunk-count.ts';
import { FloatWindows } from './aggregate/float-windows.ts';
import {
  alikeRanges,
  areAlike,
  HistogramWindows,
  wholeRanges,
} from './aggregate/histogram-windows.ts';
import { CounterTotal } from './counter.ts';

/** The distance of raw samples that sizes of chunks are reckoned with. */
const RAW_INTERVAL_MS = 60_000;

/** An aggregate chunk taken apart. */
interface AggregateSource {
  readonly lanes: AggregateLanes;
  readonly mint: number;
  readonly maxt: number;
}

/**
 * Brings series from one resolution to a coarser one, as aggregate chunks that are Thanos's byte for
 * byte (pkg/compact/downsample in Thanos). It differs where Thanos would lose samples or fail: a chunk
 * ends where a native histogram turns from counter to gauge or changes its zero bucket or its bounds.
 * Buffers are reused from series to series.
 */
export class Downsampler {
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #samples = new SampleBuffer(4096);
  readonly #rows = new HistogramRows();
  readonly #windows = new FloatWindows();
  readonly #histogramWindows = new HistogramWindows();
  /** Of the series at hand: what is done, and up to where it was taken in. */
  #made: TimedChunk[] = [];
  #lastMaxt = Number.NEGATIVE_INFINITY;
  /** Of which kind the raw samples at hand are, and whether floats among them may be NaN. */
  #isHistogram = false;
  #hasNaNs = false;
  /** The aggregate chunks at hand. */
  readonly #sources: AggregateSource[] = [];

  /** @throws BadInputError unless `toMs` is coarser than `fromMs`. */
  constructor(fromMs: number, toMs: number) {
    if (toMs <= fromMs) {
      throw new BadInputError(
        `cannot downsample from ${fromMs} ms to ${toMs} ms: the target must be coarser`,
      );
    }
    this.#fromMs = fromMs;
    this.#toMs = toMs;
  }

  /**
   * The chunks of one series at the coarser resolution; none if nothing but stale markers and NaNs is
   * in it. Windows without samples are left out.
   * @throws CorruptionError if chunks overlap or one is damaged.
   */
  series(chunks: readonly TimedChunk[]): TimedChunk[] {
    this.begin();
    for (const chunk of chunks) this.add(chunk);
    return this.end();
  }

  /** Begins a series, for `add`. */
  begin(): void {
    this.#made = [];
    this.#sources.length = 0;
    this.#lastMaxt = Number.NEGATIVE_INFINITY;
    this.#clear(false);
  }

  /**
   * Takes the next chunk of the series, whose bytes are not looked at any more afterwards.
   * @throws CorruptionError as `series`.
   */
  add(chunk: TimedChunk): void {
    checkApart(chunk, this.#lastMaxt);
    this.#lastMaxt = chunk.maxt;
    if (this.#fromMs === Resolution.Raw) this.#addRaw(chunk, this.#toMs);
    else this.#addAggregates(chunk);
  }

  /** Ends the series: its chunks as `series` gives them. */
  end(): TimedChunk[] {
    if (this.#fromMs === Resolution.Raw) this.#downsampleRun(this.#toMs);
    else this.#downsampleSources();
    return this.#made;
  }

  /** Floats and histograms in turn, as runs of chunks of one kind. */
  #addRaw(chunk: TimedChunk, toMs: number): void {
    const isHistogram = isHistogramEncoding(chunk.encoding);
    if (isHistogram !== this.#isHistogram) {
      this.#downsampleRun(toMs);
      this.#clear(isHistogram);
    }
    if (isHistogram) appendUsableRows(chunk, this.#rows);
    else if (appendUsable(chunk, this.#samples)) this.#hasNaNs = true;
  }

  #clear(isHistogram: boolean): void {
    this.#isHistogram = isHistogram;
    this.#samples.clear();
    this.#rows.clear();
    this.#hasNaNs = false;
  }

  /** Cuts the samples at hand into batches of about equal size that end with a window. */
  #downsampleRun(toMs: number): void {
    const { times, length } = this.#isHistogram ? this.#rows : this.#samples;
    if (length === 0) return;
    const chunks = targetChunkCount({
      mint: times[0]!,
      maxt: times[length - 1]!,
      samples: length,
      fromMs: RAW_INTERVAL_MS,
      toMs,
    });
    const batch = Math.floor(length / chunks) + 1;
    for (let start = 0; start < length;) {
      let end = Math.min(start + batch, length);
      const lastWindow = windowEnd(times[end - 1]!, toMs);
      while (end < length && times[end]! <= lastWindow) end++;
      if (this.#isHistogram) this.#histogramBatch(start, end, toMs);
      else this.#floatBatch(start, end, toMs);
      start = end;
    }
  }

  #floatBatch(start: number, end: number, toMs: number): void {
    const { times, values } = this.#samples;
    const kept = this.#hasNaNs ? dropNaNs(times, values, start, end) : end;
    if (kept === start) return;
    const windows = this.#windows;
    windows.aggregate(times, values, [start, kept], toMs);
    windows.beginChunk();
    const first = { time: times[start]!, value: values[start]! };
    this.#made.push(
      aggregateChunk(windows.mint, windows.maxt, {
        count: windows.encode('counts'),
        sum: windows.encode('sums'),
        min: windows.encode('mins'),
        max: windows.encode('maxs'),
        counter: windows.encodeCounter(first, values[kept - 1]!),
      }),
    );
  }

  #histogramBatch(start: number, end: number, toMs: number): void {
    for (const ranges of alikeRanges(this.#rows, start, end)) {
      const windows = this.#histogramWindows;
      windows.aggregate(this.#rows, ranges, toMs);
      const counts = this.#windows;
      counts.setCounts(windows);
      counts.beginChunk();
      this.#made.push(
        aggregateChunk(windows.mint, windows.maxt, {
          count: counts.encode('counts'),
          sum: windows.encodeSums(),
          counter: windows.encodeCounters(),
        }),
      );
    }
  }

  /** Whole source chunks are put together: their first and last counter values are true ones. */
  #addAggregates(chunk: TimedChunk): void {
    for (const source of this.#sourcesOf(chunk)) {
      const last = this.#sources.at(-1);
      if (last !== undefined && !fitTogether(last.lanes, source.lanes)) {
        this.#downsampleSources();
        this.#sources.length = 0;
      }
      this.#sources.push(source);
    }
  }

  /** Some blocks of the past hold chunks that were not downsampled: empty ones, and raw ones. */
  #sourcesOf(chunk: TimedChunk): AggregateSource[] {
    if (chunk.encoding === ChunkEncoding.Aggregate) {
      return [sourceOf({ ...chunk, data: chunk.data.slice() })];
    }
    if (chunkSampleCount(chunk) === 0) return [];
    const already = this.#made;
    this.#made = [];
    this.#clear(false);
    this.#addRaw(chunk, this.#fromMs);
    this.#downsampleRun(this.#fromMs);
    const sources = this.#made.map(sourceOf);
    this.#made = already;
    return sources;
  }

  #downsampleSources(): void {
    const run = this.#sources;
    const first = run[0];
    if (first === undefined) return;
    const samples = run.reduce((sum, { lanes }) => sum + countOf(lanes), 0);
    const chunks = targetChunkCount({
      mint: first.mint,
      maxt: run.at(-1)!.maxt,
      samples,
      fromMs: this.#fromMs,
      toMs: this.#toMs,
    });
    const batch = Math.max(1, Math.floor(run.length / chunks));
    const isHistogram = aggregatesHistograms(first.lanes);
    for (let start = 0; start < run.length; start += batch) {
      const sources = run.slice(start, start + batch);
      const chunk = isHistogram ? this.#mergeHistograms(sources) : this.#mergeFloats(sources);
      if (chunk !== undefined) this.#made.push(chunk);
    }
  }

  #mergeFloats(sources: readonly AggregateSource[]): TimedChunk | undefined {
    const windows = this.#windows;
    const span = new Span();
    const merged: { [lane in Lane]?: EncodedChunk } = {};
    windows.beginChunk();
    for (const [lane, column] of floatLanes) {
      if (!this.#aggregateLane(sources, lane)) continue;
      merged[lane] = windows.encode(column);
      span.cover(windows);
    }
    const lastValue = this.#readCounter(sources);
    const { times, values, length } = this.#samples;
    if (length > 0) {
      windows.aggregate(times, values, [0, length], this.#toMs);
      merged.counter = windows.encodeCounter({ time: times[0]!, value: values[0]! }, lastValue);
      span.cover(windows);
    }
    return span.isEmpty ? undefined : aggregateChunk(span.mint, span.maxt, merged);
  }

  #mergeHistograms(sources: readonly AggregateSource[]): TimedChunk | undefined {
    const windows = this.#histogramWindows;
    if (!this.#aggregateHistogramLane(sources, 'sum')) return undefined;
    const sum = windows.encodeSums();
    if (!this.#aggregateHistogramLane(sources, 'counter')) return undefined;
    const counter = windows.encodeCounters();
    const hasCounts = this.#aggregateLane(sources, 'count');
    this.#windows.beginChunk();
    return aggregateChunk(windows.mint, windows.maxt, {
      ...(hasCounts ? { count: this.#windows.encode('sums') } : {}),
      sum,
      counter,
    });
  }

  /** As `#aggregateLane`, of a lane of histograms; all sources are alike. */
  #aggregateHistogramLane(sources: readonly AggregateSource[], lane: Lane): boolean {
    const rows = this.#rows;
    rows.clear();
    for (const { lanes } of sources) {
      const part = lanes[lane];
      if (part !== undefined) appendUsableRows(part, rows);
    }
    if (rows.length === 0) return false;
    this.#histogramWindows.aggregate(rows, wholeRanges(rows), this.#toMs);
    return true;
  }

  /** Reads a lane of floats and aggregates it; `false` if the sources have nothing in it. */
  #aggregateLane(sources: readonly AggregateSource[], lane: Lane): boolean {
    this.#readLane(sources, lane);
    const { times, values, length } = this.#samples;
    if (length === 0) return false;
    this.#windows.aggregate(times, values, [0, length], this.#toMs);
    return true;
  }

  #readLane(sources: readonly AggregateSource[], lane: Lane): void {
    const samples = this.#samples;
    samples.clear();
    for (const { lanes } of sources) {
      const part = lanes[lane];
      if (part !== undefined) appendUsable(part, samples);
    }
  }

  /** The samples become the counter's running total; returns its own last value. */
  #readCounter(sources: readonly AggregateSource[]): number {
    this.#readLane(sources, 'counter');
    const { times, values, length } = this.#samples;
    const counter = new CounterTotal();
    let kept = 0;
    for (let i = 0; i < length; i++) {
      if (!counter.add(times[i]!, values[i]!)) continue;
      times[kept] = counter.time;
      values[kept++] = counter.total;
    }
    this.#samples.length = kept;
    return counter.lastValue;
  }
}

/** From which aggregate over a source's lane the lane of the coarser chunk comes. */
const floatLanes = [
  ['count', 'sums'],
  ['sum', 'sums'],
  ['min', 'mins'],
  ['max', 'maxs'],
] as const;

/** The time range of the windows of several lanes. */
class Span {
  mint = Number.POSITIVE_INFINITY;
  maxt = Number.NEGATIVE_INFINITY;

  get isEmpty(): boolean {
    return this.mint > this.maxt;
  }

  cover({ mint, maxt }: FloatWindows): void {
    this.mint = Math.min(this.mint, mint);
    this.maxt = Math.max(this.maxt, maxt);
  }
}

/**
 * Appends the samples of a chunk without stale markers and without those that go back in time, before
 * 1970 included. Other NaNs stay, for they count when chunks are sized; says whether there are any.
 */
function appendUsable(chunk: EncodedChunk, samples: SampleBuffer): boolean {
  const start = samples.length;
  decodeChunk(chunk, MIN_TIME, MAX_TIME, samples);
  const { times, values, length } = samples;
  let last = 0;
  for (let i = start; i < length; i++) {
    const time = times[i]!;
    const value = values[i]!;
    if (time < last || value !== value) return dropUnusable(samples, start);
    last = time;
  }
  return false;
}

/** The rare way of `appendUsable`: the samples from `start` on have something to drop, or a NaN. */
function dropUnusable(samples: SampleBuffer, start: number): boolean {
  const { times, values, halves, length } = samples;
  let kept = start;
  let last = 0;
  let hasNaNs = false;
  for (let i = start; i < length; i++) {
    const time = times[i]!;
    if (time < last || isStale(halves, i)) continue;
    last = time;
    times[kept] = time;
    values[kept] = values[i]!;
    if (values[kept] !== values[kept]) hasNaNs = true;
    kept++;
  }
  samples.length = kept;
  return hasNaNs;
}

/** The same of native histograms. */
function appendUsableRows(chunk: EncodedChunk, rows: HistogramRows): void {
  const start = rows.length;
  const firstGroup = rows.groups.length;
  decodeHistogramChunk(chunk, rows);
  const { times, length } = rows;
  let last = 0;
  let isUsable = rows.groups.length <= firstGroup + 1;
  for (let row = start; row < length; row++) {
    if (times[row]! < last) isUsable = false;
    last = times[row]!;
  }
  const first = rows.groups[firstGroup];
  if (first === undefined || (isUsable && !rows.isStaleAt(first, first.from))) return;
  last = 0;
  rows.retain(firstGroup, (group, row) => {
    const time = times[row]!;
    if (time < last || rows.isStaleAt(group, row)) return false;
    last = time;
    return true;
  });
}

/** Moves the numbers among samples `[start, end)` together, and returns where they end. */
function dropNaNs(times: Float64Array, values: Float64Array, start: number, end: number): number {
  let kept = start;
  while (kept < end && values[kept] === values[kept]) kept++;
  for (let i = kept; i < end; i++) {
    const value = values[i]!;
    if (value !== value) continue;
    times[kept] = times[i]!;
    values[kept++] = value;
  }
  return kept;
}

function sourceOf({ data, mint, maxt }: TimedChunk): AggregateSource {
  return { lanes: readAggregateChunk(data), mint, maxt };
}

function countOf({ count }: AggregateLanes): number {
  return count === undefined ? 0 : anyChunkSampleCount(count);
}

/** Whether two chunks in a row can go into one. */
function fitTogether(a: AggregateLanes, b: AggregateLanes): boolean {
  if (aggregatesHistograms(a) !== aggregatesHistograms(b)) return false;
  const left = groupOf(a);
  const right = groupOf(b);
  return left === undefined || right === undefined || areAlike(left, right);
}

function groupOf({ counter }: AggregateLanes): Pick<HistogramGroup, 'layout' | 'flag'> | undefined {
  const isHistogram = counter !== undefined && isHistogramEncoding(counter.encoding);
  return isHistogram ? histogramGroup(counter) : undefined;
}

function aggregateChunk(mint: number, maxt: number, lanes: AggregateLanes): TimedChunk {
  return { encoding: ChunkEncoding.Aggregate, mint, maxt, data: writeAggregateChunk(lanes) };
}

function checkApart({ mint }: TimedChunk, lastMaxt: number): void {
  if (lastMaxt < mint) return;
  throw new CorruptionError(
    `a chunk of a series begins at ${mint}, before the one ahead of it ends at ${lastMaxt}: ` +
      'compact the overlapping blocks before downsampling',
  );
}
