import { valueJson } from '#/api/value-json.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import type { EngineOptions } from '#/promql/engine.ts';
import type { Queryable } from '#/storage/queryable.ts';
import type { QueryTimes } from './random-query.ts';

/** A query's answer as `/api/v1/query` and `query_range` of Prometheus give it. */
export interface Answer {
  readonly status: 'success' | 'error';
  readonly errorType?: string;
  readonly error?: string;
  readonly data?: { readonly resultType: string; readonly result: unknown };
  readonly warnings?: readonly string[];
  readonly infos?: readonly string[];
}

export type Ask = (text: string, times: QueryTimes) => Promise<Answer>;

/** The features that `prometheusFlags` switch on, too. */
export const engineOptions: EngineOptions = {
  lookbackMs: 300_000,
  maxSamples: 50_000_000,
  defaultStepMs: () => 60_000,
  features: {
    ...stableEngineFeatures,
    experimentalFunctions: true,
    extendedRangeSelectors: true,
    fillModifiers: true,
  },
};

/** What a Prometheus needs to be comparable with `engineOptions`. */
export const prometheusFlags = [
  '--storage.tsdb.retention.time=100y',
  '--query.lookback-delta=5m',
  '--enable-feature=promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers',
  '--log.level=warn',
];

/** Our engine over the given data. */
export function engineOver(queryable: Queryable, options: Partial<EngineOptions> = {}): Ask {
  const engine = new Engine({ ...engineOptions, ...options });
  const { signal } = new AbortController();
  return async (text, { startMs, endMs, stepMs }) => {
    const context = { signal, budget: unlimitedBudget() };
    try {
      const evaluation = await (stepMs === 0
        ? engine.instant({ text, timeMs: startMs }, queryable, context)
        : engine.range({ text, startMs, endMs, stepMs }, queryable, context));
      return {
        status: 'success',
        data: JSON.parse(`{${[...valueJson(evaluation.value)].join('')}}`) as Answer['data'] & {},
        warnings: evaluation.promqlWarnings,
        infos: evaluation.promqlInfos,
      };
    } catch (thrown) {
      const errorType = thrown instanceof BadInputError ? 'bad_data' : 'execution';
      return { status: 'error', errorType, error: messageOf(thrown) };
    }
  };
}

/** The Prometheus at `url`. */
export function prometheusAt(url: string): Ask {
  return async (text, { startMs, endMs, stepMs }) => {
    const [path, params] =
      stepMs === 0
        ? ['query', { query: text, time: seconds(startMs) }]
        : [
            'query_range',
            { query: text, start: seconds(startMs), end: seconds(endMs), step: seconds(stepMs) },
          ];
    const body = new URLSearchParams(params);
    const response = await fetch(`${url}/api/v1/${path}`, { method: 'POST', body });
    const answer = (await response.json()) as Answer;
    if (answer.error === undefined) return answer;
    return { ...answer, error: answer.error.replace(/^invalid parameter "query": /, '') };
  };
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
