import type { FloatHistogram } from '#/model/histogram.ts';
import { Annotations } from '../annotations.ts';
import { rangeFunctions } from '../functions.ts';
import type { KernelContext, KernelResult, RangeWindow } from './kernel.ts';

/** A sample of a test: its time in seconds and its value. */
export type TestSample = readonly [number, number | FloatHistogram];

export interface TestRange {
  /** Seconds; a minute up to the last sample unless given. */
  readonly range?: number;
  readonly end?: number;
  readonly args?: readonly number[];
  /** Seconds, one a sample. */
  readonly startTimes?: readonly number[];
  /** How many scraped samples each stands for, one a sample. */
  readonly counts?: readonly number[];
  readonly annotations?: Annotations;
  readonly extension?: RangeWindow['extension'];
}

/** What a range function makes of samples; `undefined` when it has no result. */
export function evaluate(
  name: string,
  samples: readonly TestSample[],
  options: TestRange = {},
): KernelResult | undefined {
  const result: KernelResult = { present: false, value: 0, histogram: undefined };
  const context = contextFor(options.annotations ?? new Annotations());
  rangeFunctions.get(name)!.kernel(windowOf(samples, options), result, context);
  return result.present ? result : undefined;
}

export function valueOf(name: string, samples: readonly TestSample[], options: TestRange = {}) {
  return evaluate(name, samples, options)?.value;
}

function windowOf(samples: readonly TestSample[], options: TestRange): RangeWindow {
  const { range = 60, end = samples.at(-1)![0], args = [], extension = 'none' } = options;
  const rangeEnd = end * 1000;
  const histograms = samples.map(([, value]) => (typeof value === 'number' ? undefined : value));
  return {
    times: Float64Array.from(samples, ([time]) => time * 1000),
    values: Float64Array.from(samples, ([, value]) => (typeof value === 'number' ? value : 0)),
    histograms: histograms.some((histogram) => histogram !== undefined) ? histograms : undefined,
    startTimes: options.startTimes && Float64Array.from(options.startTimes, (time) => time * 1000),
    counts: options.counts && Float64Array.from(options.counts),
    from: 0,
    to: samples.length,
    extension,
    rangeStart: rangeEnd - range * 1000,
    rangeEnd,
    stepTime: rangeEnd,
    args,
  };
}

export function contextFor(annotations: Annotations): KernelContext {
  return { annotations, metricName: 'metric', argPosition: { start: 0, end: 3 } };
}

/** A histogram of schema 0 with `counts` in the buckets from (0.5,1] up; they make its count, too. */
export function exponential(counts: readonly number[], parts: Partial<FloatHistogram> = {}) {
  const count = counts.reduce((sum, bucket) => sum + bucket, 0);
  const histogram: FloatHistogram = {
    counterReset: 0,
    schema: 0,
    zeroThreshold: 0,
    zeroCount: 0,
    count: count + (parts.zeroCount ?? 0),
    sum: count,
    positiveSpans: counts.length === 0 ? [] : [{ offset: 0, length: counts.length }],
    positiveBuckets: Float64Array.from(counts),
    negativeSpans: [],
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
  };
  return { ...histogram, ...parts };
}

/** A histogram of custom buckets; the last count is that of the bucket up to +Inf. */
export function custom(bounds: readonly number[], counts: readonly number[]): FloatHistogram {
  return exponential(counts, { schema: -53, customValues: Float64Array.from(bounds) });
}
