import { analysisJson, explanationJson } from '#/api/explain-json.ts';
import { valueJson } from '#/api/value-json.ts';
import type { Explanation } from '#/promql/explain.ts';
import type { Evaluation } from '#/promql/value.ts';

/** A query's answer as the members of `/api/v1/query` that matter here, whoever gave it. */
export interface Answer {
  readonly data: AnswerData;
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
}

export type AnswerData = { readonly analysis?: object } & (
  | { readonly resultType: 'scalar'; readonly result: Point }
  | { readonly resultType: 'string'; readonly result: Point }
  | { readonly resultType: 'vector'; readonly result: readonly AnswerSeries[] }
  | { readonly resultType: 'matrix'; readonly result: readonly AnswerSeries[] }
);

/** A time in seconds and a value. */
export type Point = readonly [number, string];
export type HistogramPoint = readonly [number, { readonly count: string; readonly sum: string }];

/** One series: a vector's has `value` or `histogram`, a matrix's `values`, `histograms` or both. */
export interface AnswerSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: Point;
  readonly histogram?: HistogramPoint;
  readonly values?: readonly Point[];
  readonly histograms?: readonly HistogramPoint[];
}

export function answerOf(evaluation: Evaluation): Answer {
  const { value, warnings, infos, promqlWarnings, promqlInfos, analysis, stats } = evaluation;
  const data = JSON.parse(`{${[...valueJson(value)].join('')}}`) as AnswerData;
  const { peakBytes } = stats;
  return {
    data: analysis === undefined ? data : { ...data, analysis: analysisJson(analysis, peakBytes) },
    warnings: [...warnings, ...promqlWarnings],
    infos: [...infos, ...promqlInfos],
  };
}

/** As `/api/v1/query_explain` has it. Blocks are read as they are, whatever their resolution. */
export function explanationOf(explanation: Explanation): Answer {
  const data = explanationJson(explanation, 0) as unknown as AnswerData;
  return { data, warnings: [], infos: [] };
}
