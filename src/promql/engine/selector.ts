import type { Series } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { isStale, isStaleNaN } from '#/model/stale.ts';
import type { SelectorNode } from '../planner/nodes.ts';
import type { StepColumn } from '../step-column.ts';
import { reduceToStats } from './histogram-stats.ts';
import { instantsOf } from './instants.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { histogramSamples } from './query-run.ts';

/** An instant selector: at every step the newest sample that is younger than the lookback. */
export class SelectorOperator implements Operator {
  readonly #node: SelectorNode;
  readonly #run: QueryRun;
  readonly #samples = new SampleBuffer();
  #series: readonly Series[] = [];

  constructor(node: SelectorNode, run: QueryRun) {
    this.#node = node;
    this.#run = run;
  }

  async open(): Promise<readonly OutputSeries[]> {
    this.#series = await this.#run.select(this.#node.request);
    return this.#series.map(({ labels }) => ({ labels, dropName: false }));
  }

  read(index: number, into: StepColumn): void {
    const { grid, lookbackMs, output } = this.#node;
    const samples = this.#samples;
    into.clear();
    if (grid.steps === 0) return;
    const { first, stride, last } = instantsOf(this.#node);
    samples.clear();
    this.#series[index]!.read(first - lookbackMs + 1, last, samples);
    if (this.#node.histogramStats) reduceToStats(samples);
    this.#run.spend(samples.length + grid.steps);
    const found = pickNewest(samples, { first, stride, lookbackMs }, into);
    if (output !== 'value') replaceByTimes(samples, { first, stride }, output, into);
    this.#run.countSamples(found);
    this.#run.touchSamples(found);
  }
}

/** Fills `into` and returns how many samples that were, counted as Prometheus does. */
function pickNewest(
  { times, values, halves, histograms, length }: SampleBuffer,
  { first, stride, lookbackMs }: { first: number; stride: number; lookbackMs: number },
  into: StepColumn,
): number {
  const { steps } = into;
  let found = 0;
  const outputs = into.values;
  const { present } = into;
  let next = 0;
  for (let step = 0; step < steps; step++) {
    const time = first + step * stride;
    while (next < length && times[next]! <= time) next++;
    const newest = next - 1;
    if (newest < 0 || times[newest]! <= time - lookbackMs) continue;
    const histogram = histograms?.[newest];
    if (histogram !== undefined) {
      if (isStaleNaN(histogram.sum)) continue;
      into.setHistogram(step, histogram);
      found += histogramSamples(histogram);
    } else {
      const value = values[newest]!;
      if (value !== value && isStale(halves, newest)) continue;
      outputs[step] = value;
      present[step] = 1;
      found++;
    }
  }
  return found;
}

/** Where `into` has a sample, puts the time of that sample, or its start, in seconds. */
function replaceByTimes(
  { times, startTimes, length }: SampleBuffer,
  { first, stride }: { first: number; stride: number },
  output: 'timestamp' | 'start-timestamp',
  into: StepColumn,
): void {
  let next = 0;
  for (let step = 0; step < into.steps; step++) {
    const time = first + step * stride;
    while (next < length && times[next]! <= time) next++;
    if (into.present[step] === 0) continue;
    const ms = output === 'timestamp' ? times[next - 1]! : (startTimes?.[next - 1] ?? 0);
    into.setFloat(step, ms / 1000);
  }
}
