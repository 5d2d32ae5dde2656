import { METRIC_NAME } from '#/model/labels.ts';
import { CounterReset, usesCustomBuckets, withCounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import type { Series } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { warningTexts } from '../annotation-texts.ts';
import { interpolateHistograms } from '../functions/extended-rate.ts';
import type { SelectorNode } from '../planner/nodes.ts';
import type { StepColumn } from '../step-column.ts';
import { reduceToStats } from './histogram-stats.ts';
import { instantsOf } from './instants.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { dropStaleMarkers } from './sample-source.ts';

/**
 * An instant selector with `smoothed`: at every step the value between the samples around it, not
 * further away than the lookback on either side; the last value where none follows.
 * Semantics: smoothSeries of promql/engine.go in Prometheus.
 */
export class SmoothedSelectorOperator implements Operator {
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
    const { grid, lookbackMs, histogramStats } = this.#node;
    const samples = this.#samples;
    into.clear();
    if (grid.steps === 0) return;
    const { first, stride, last } = instantsOf(this.#node);
    samples.clear();
    this.#series[index]!.read(first - lookbackMs + 1, last + lookbackMs, samples);
    if (histogramStats) reduceToStats(samples);
    dropStaleMarkers(samples);
    this.#run.spend(samples.length + grid.steps);
    let from = 0;
    let to = 0;
    let next = 0;
    for (let step = 0; step < grid.steps; step++) {
      const time = first + step * stride;
      while (to < samples.length && samples.times[to]! <= time + lookbackMs) to++;
      while (from < to && samples.times[from]! <= time - lookbackMs) from++;
      next = Math.max(next, from);
      while (next < to && samples.times[next]! < time) next++;
      if (from < to) this.#interpolate({ from, next, to, time, step }, index, into);
    }
    this.#run.countSamples(samples.length);
    this.#run.touchSamples(samples.length);
  }

  /** `next` is the first sample of `[from, to)` at or after `time`. */
  #interpolate({ from, next, to, time, step }: Around, index: number, into: StepColumn): void {
    const { times, values, histograms } = this.#samples;
    if (histograms !== undefined && isMixed(histograms, from, to)) {
      const metricName = this.#series[index]!.labels.get(METRIC_NAME);
      const text = warningTexts.mixedFloatsHistograms(metricName);
      this.#run.annotations.warn(text, this.#node.position);
      return;
    }
    if (histograms?.[from] !== undefined) {
      this.#interpolateHistogram({ from, next, to, time, step }, index, into);
      return;
    }
    if (next < to && times[next] === time) into.setFloat(step, values[next]!);
    else if (next > from && next < to) {
      const rise = values[next]! - values[next - 1]!;
      const elapsed = time - times[next - 1]!;
      // Multiplied before it is divided: the other way round the last digit may differ.
      into.setFloat(step, values[next - 1]! + (rise * elapsed) / (times[next]! - times[next - 1]!));
    } else if (next > from) into.setFloat(step, values[next - 1]!);
  }

  #interpolateHistogram(around: Around, index: number, into: StepColumn): void {
    const { from, next, to, time, step } = around;
    const { times, histograms } = this.#samples;
    const before = next > from ? histograms?.[next - 1] : undefined;
    const after = next < to ? histograms?.[next] : undefined;
    if (after !== undefined && times[next] === time) into.setHistogram(step, after);
    else if (before !== undefined && after !== undefined) {
      if (usesCustomBuckets(before) !== usesCustomBuckets(after)) {
        this.#warnMixedBuckets(index);
        return;
      }
      const fraction = (time - times[next - 1]!) / (times[next]! - times[next - 1]!);
      const isCounter =
        before.counterReset !== CounterReset.Gauge || after.counterReset !== CounterReset.Gauge;
      const result = interpolateHistograms(
        { from: before, to: after, fraction, isCounter },
        {
          annotations: this.#run.annotations,
          metricName: this.#series[index]!.labels.get(METRIC_NAME),
          argPosition: this.#node.position,
        },
      );
      if (result !== undefined) into.setHistogram(step, result);
    } else if (before !== undefined) into.setHistogram(step, forgetReset(before));
  }

  #warnMixedBuckets(index: number): void {
    const metricName = this.#series[index]!.labels.get(METRIC_NAME);
    const text = warningTexts.mixedExponentialCustomHistograms(metricName);
    this.#run.annotations.warn(text, this.#node.position);
  }
}

/** Without a successor nothing is known of how the last histogram relates to it. */
function forgetReset(histogram: FloatHistogram): FloatHistogram {
  return withCounterReset(histogram, CounterReset.Unknown);
}

interface Around {
  readonly from: number;
  readonly next: number;
  readonly to: number;
  readonly time: number;
  readonly step: number;
}

function isMixed(histograms: readonly unknown[], from: number, to: number): boolean {
  const isHistogram = histograms[from] !== undefined;
  for (let i = from; i < to; i++) if ((histograms[i] !== undefined) !== isHistogram) return true;
  return false;
}
