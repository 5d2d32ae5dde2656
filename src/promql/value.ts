import type { FloatHistogram } from '#/model/histogram.ts';
import type { Labels } from '#/model/labels.ts';
import type { OperatorAnalysis } from './analysis.ts';

/** One series of a vector. A sample is a float unless `histogram` is set. */
export interface VectorSample {
  readonly labels: Labels;
  readonly timeMs: number;
  readonly value: number;
  readonly histogram?: FloatHistogram;
}

/** One series of a matrix: its floats and its histograms, each in time order, never both at one time. */
export interface MatrixSeries {
  readonly labels: Labels;
  readonly times: Float64Array;
  readonly values: Float64Array;
  readonly histogramTimes: Float64Array;
  readonly histograms: readonly FloatHistogram[];
}

/** What an expression evaluates to. */
export type QueryValue =
  | { readonly kind: 'scalar'; readonly timeMs: number; readonly value: number }
  | { readonly kind: 'string'; readonly timeMs: number; readonly value: string }
  | { readonly kind: 'vector'; readonly samples: readonly VectorSample[] }
  | { readonly kind: 'matrix'; readonly series: readonly MatrixSeries[] };

export interface QueryStats {
  readonly totalQueryableSamples: number;
  readonly peakSamples: number;
  readonly peakBytes: number;
}

/** A query's answer. */
export interface Evaluation {
  readonly value: QueryValue;
  /** What the sources left out; the answer is incomplete when there are any. */
  readonly warnings: readonly string[];
  /** What the sources have to say of a complete answer: downsampled data in it. */
  readonly infos: readonly string[];
  /** `PromQL warning: …` and `PromQL info: …` as Prometheus words them, with positions. */
  readonly promqlWarnings: readonly string[];
  readonly promqlInfos: readonly string[];
  readonly stats: QueryStats;
  /** What the operators did, where the query asks for it. */
  readonly analysis?: OperatorAnalysis;
}
