import { isStale, isStaleNaN } from '#/model/stale.ts';
import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import type { Series } from '#/storage/queryable.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { SamplesSource, SubquerySource } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import type { StepGrid } from '../step-grid.ts';
import { reduceToStats } from './histogram-stats.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';

/** Where a range function's samples come from: the storage or a subquery. */
export interface SampleSource {
  open(): Promise<readonly OutputSeries[]>;
  /** As of an operator. */
  readAhead?(order: readonly number[]): Promise<void>;
  /** Fills the empty buffer `into` with all samples of a series that any window needs, none stale. */
  read(index: number, into: SampleBuffer): void;
}

/** The times that the windows of a grid's steps together cover: `(after, until]`. */
export function coveredTimes(
  source: Pick<SamplesSource, 'atMs' | 'offsetMs' | 'rangeMs'>,
  grid: StepGrid,
): { after: number; until: number } {
  const first = (source.atMs ?? grid.startMs) - source.offsetMs;
  const last = source.atMs === undefined ? first + (grid.steps - 1) * grid.stepMs : first;
  return { after: first - source.rangeMs, until: last };
}

/** Samples as they are stored. */
export class StoredSamples implements SampleSource {
  readonly #source: SamplesSource;
  readonly #run: QueryRun;
  readonly #mint: number;
  readonly #maxt: number;
  #series: readonly Series[] = [];

  constructor(source: SamplesSource, grid: StepGrid, run: QueryRun) {
    this.#source = source;
    this.#run = run;
    const { after, until } = coveredTimes(source, grid);
    const { extension, lookbackMs, lookbehindMs } = source;
    // The window is open at its start, what lies behind it closed.
    const opening = lookbehindMs > 0 ? 0 : 1;
    this.#mint = after + opening - lookbehindMs - (extension === 'none' ? 0 : lookbackMs);
    this.#maxt = until + (extension === 'smoothed' ? lookbackMs : 0);
  }

  async open(): Promise<readonly OutputSeries[]> {
    this.#series = await this.#run.select(this.#source.request);
    return this.#series.map(({ labels }) => ({ labels, dropName: false }));
  }

  read(index: number, into: SampleBuffer): void {
    if (this.#maxt < this.#mint) return;
    this.#series[index]!.read(this.#mint, this.#maxt, into);
    this.#run.spend(into.length);
    if (this.#source.histogramStats) reduceToStats(into);
    dropStaleMarkers(into);
    if (!this.#run.startTimestamps) into.startTimes = undefined;
  }
}

/** The results of an expression at the steps of a subquery. */
export class SubquerySamples implements SampleSource {
  readonly #grid: StepGrid;
  readonly #expression: Operator;
  readonly #column: StepColumn;

  /** `grid` is the one `expression` is evaluated on. */
  constructor(source: SubquerySource, expression: Operator) {
    this.#grid = source.expression.grid;
    this.#expression = expression;
    this.#column = new StepColumn(this.#grid.steps);
  }

  open(): Promise<readonly OutputSeries[]> {
    return this.#expression.open();
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#expression.readAhead?.(order);
  }

  read(index: number, into: SampleBuffer): void {
    const { startMs, stepMs, steps } = this.#grid;
    const column = this.#column;
    this.#expression.read(index, column);
    into.reserve(steps);
    for (let step = 0; step < steps; step++) {
      if (column.present[step] === 0) continue;
      const time = startMs + step * stepMs;
      const histogram = column.histograms?.[step];
      if (histogram === undefined) into.pushFloat(time, column.values[step]!);
      else into.pushHistogram(time, withoutResetHint(histogram));
    }
  }
}

/** A subquery skips or repeats samples, so what a histogram knows of its predecessor is void. */
function withoutResetHint(histogram: FloatHistogram): FloatHistogram {
  const { counterReset } = histogram;
  const hinted = counterReset === CounterReset.Yes || counterReset === CounterReset.No;
  return hinted ? { ...histogram, counterReset: CounterReset.Unknown } : histogram;
}

/** Removes the markers that end a series; ranges do not see them. */
export function dropStaleMarkers(samples: SampleBuffer): void {
  const first = firstStale(samples);
  if (first < 0) return;
  const { times, values, histograms, startTimes, counts, length } = samples;
  let kept = first;
  for (let i = first; i < length; i++) {
    if (isStaleSample(samples, i)) continue;
    times[kept] = times[i]!;
    values[kept] = values[i]!;
    if (histograms !== undefined) histograms[kept] = histograms[i];
    if (startTimes !== undefined) startTimes[kept] = startTimes[i]!;
    if (counts !== undefined) counts[kept] = counts[i]!;
    kept++;
  }
  samples.length = kept;
}

function firstStale(samples: SampleBuffer): number {
  const { values, histograms, length } = samples;
  for (let i = 0; i < length; i++) {
    const value = values[i]!;
    if ((value !== value || histograms !== undefined) && isStaleSample(samples, i)) return i;
  }
  return -1;
}

function isStaleSample({ halves, histograms }: SampleBuffer, index: number): boolean {
  const histogram = histograms?.[index];
  return histogram === undefined ? isStale(halves, index) : isStaleNaN(histogram.sum);
}
