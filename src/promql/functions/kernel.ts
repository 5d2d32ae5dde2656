import type { FloatHistogram } from '#/model/histogram.ts';
import type { Annotations, NotePosition } from '../annotations.ts';
import type { StepColumn } from '../step-column.ts';

/**
 * One evaluation of a range function over one series: the samples `[from, to)` of the columns lie in
 * `(rangeStart, rangeEnd]`, stale markers are gone. The engine makes one window a series and moves
 * it from step to step, so a kernel keeps nothing of it. Entry 0 of the columns is the first sample
 * of the series that the select found.
 */
export interface RangeWindow {
  times: Float64Array;
  values: Float64Array;
  /** `undefined` while the series has floats only; a float's slot is `undefined`. */
  histograms: readonly (FloatHistogram | undefined)[] | undefined;
  /**
   * Start timestamps, 0 for unknown; `undefined` while no sample has one, and always for functions
   * that do not read them or when the engine's option `useStartTimestamps` is off.
   */
  startTimes: Float64Array | undefined;
  /** How many scraped samples each stands for; `undefined` while each stands for itself. */
  counts: Float64Array | undefined;
  from: number;
  to: number;
  /**
   * Of a selector with `anchored` or `smoothed` the samples reach further than the window: a lookback
   * before `rangeStart`, and with `smoothed` a lookback after `rangeEnd`.
   */
  readonly extension: 'none' | 'anchored' | 'smoothed';
  /** Milliseconds, with offset and `@` applied: the window is `(rangeStart, rangeEnd]`. */
  rangeStart: number;
  rangeEnd: number;
  /** The evaluation time of the step in milliseconds, before offset and `@`. */
  stepTime: number;
  /** Values of the scalar arguments at this step, in order. */
  args: readonly number[];
}

/**
 * Where a kernel puts its result. The engine clears `present` and `histogram` before every call and
 * does not call for an empty window; nothing set means that the series has no sample at this step.
 */
export interface KernelResult {
  /** True when `value` or `histogram` is set. */
  present: boolean;
  value: number;
  histogram: FloatHistogram | undefined;
}

/** What a kernel may need for its annotations. */
export interface KernelContext {
  readonly annotations: Annotations;
  /** `__name__` of the series at hand, for texts that mention it. */
  metricName: string;
  /** Position of the function's first argument, whatever its type: upstream points there. */
  readonly argPosition: NotePosition;
}

/** `rate`, `sum_over_time` …: a series' window to at most one sample. */
export type RangeKernel = (
  window: RangeWindow,
  result: KernelResult,
  context: KernelContext,
) => void;

/** `abs`, `round`, `histogram_count` …: changes a series' column in place, step by step. */
export type PointKernel = (
  column: StepColumn,
  /** One column of values a scalar argument, over the same steps; optional ones may be absent. */
  args: readonly Float64Array[],
  context: KernelContext,
) => void;

export function setFloat(result: KernelResult, value: number): void {
  result.present = true;
  result.value = value;
}

export function setHistogram(result: KernelResult, histogram: FloatHistogram): void {
  result.present = true;
  result.histogram = histogram;
}
