import type { FloatHistogram } from '#/model/histogram.ts';
import type { Labels } from '#/model/labels.ts';

/** One place in a sequence of values. */
export type SequenceValue =
  | { readonly kind: 'omitted' }
  | { readonly kind: 'float'; readonly value: number }
  | {
      readonly kind: 'histogram';
      readonly histogram: FloatHistogram;
      /** A `counter_reset_hint` was written, so an expectation must compare it. */
      readonly hasHint: boolean;
    };

export interface LoadedSeries {
  readonly labels: Labels;
  readonly values: readonly SequenceValue[];
  /** Milliseconds from each sample to its start timestamp (`@st` lines); `undefined`: unknown. */
  readonly startOffsetsMs: readonly (number | undefined)[] | undefined;
}

export interface LoadCommand {
  readonly kind: 'load';
  readonly line: number;
  /** Time between the values of a sequence; the first is at 0. */
  readonly stepMs: number;
  /** Classic histograms are loaded as native ones with custom buckets too. */
  readonly withNhcb: boolean;
  /** Each series once; of equal ones the last counts. */
  readonly series: readonly LoadedSeries[];
}

/** A text that an error or annotation must equal, or a pattern that it must contain. */
export interface TextPattern {
  readonly text: string;
  matches(text: string): boolean;
}

export interface ExpectedSeries {
  readonly labels: Labels;
  /** From 1, in the order of the script. */
  readonly position: number;
  readonly values: readonly SequenceValue[];
}

/** What an `eval` must give. Without any expectation the result must be empty. */
export interface Expectations {
  /** Present when the query must fail; every pattern must hold for the error. */
  readonly fail: readonly TextPattern[] | undefined;
  /** Each annotation must meet one pattern, each pattern one annotation; empty: anything goes. */
  readonly warnings: readonly TextPattern[];
  readonly infos: readonly TextPattern[];
  readonly noWarnings: boolean;
  readonly noInfos: boolean;
  readonly ordered: boolean;
  readonly string: string | undefined;
  readonly scalar: number | undefined;
  /** By the key of their labels. */
  readonly series: ReadonlyMap<string, ExpectedSeries>;
}

/** Closed range of steps. */
export interface Steps {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
}

export interface EvalCommand {
  readonly kind: 'eval';
  readonly line: number;
  readonly text: string;
  /** When an instant query is evaluated; `undefined` for a range query. */
  readonly timeMs: number | undefined;
  /** Times of expected values: of the range query, or of the range vector of an instant one. */
  readonly steps: Steps;
  /** The result may be checked as a range query too. */
  readonly alsoAsRange: boolean;
  readonly expected: Expectations;
}

export type Command = { readonly kind: 'clear'; readonly line: number } | LoadCommand | EvalCommand;
