import * as v from 'valibot';
import { BadInputError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import type { ExemplarData } from '#/proto/exemplars.ts';
import type { Meta } from '#/proto/metadata.ts';
import { AlertState } from '#/proto/rules.ts';
import type { Rule, RuleGroup } from '#/proto/rules.ts';
import type { HeadStatistics, TSDBStatisticsEntry } from '#/proto/status.ts';
import { TargetHealth } from '#/proto/targets.ts';
import type { TargetDiscovery } from '#/proto/targets.ts';
import { PartialResponseStrategy } from '#/proto/types.ts';
import type { LabelSet } from '#/proto/types.ts';
import type { Timestamp } from '#/proto/well-known.ts';

// What Prometheus's HTTP API answers, read into the messages of the gRPC APIs. Go writes an empty
// list or map as null, and old versions lack some fields; unknown fields are left out.

/** The zero time of Go. */
const never = '0001-01-01T00:00:00Z';

const text = v.nullish(v.string(), '');
const float = v.nullish(v.number(), 0);
const list = <S extends v.GenericSchema>(item: S) => v.nullish(v.array(item), []);

const labelSet = v.pipe(
  v.nullish(v.record(v.string(), v.string()), {}),
  v.transform((object): LabelSet => ({ labels: [...Labels.fromObject(object)] })),
);

const time = v.pipe(v.nullish(v.string(), never), v.transform(parseTime));

const alertState = enumeration(AlertState, 'alert state');
const targetHealth = enumeration(TargetHealth, 'target health');

/** `data` of a reply that has labels by name: `/api/v1/series`. */
export const seriesData = v.nullish(
  v.custom<Record<string, string>[]>((data) => Array.isArray(data) && data.every(isLabelObject)),
  [],
);

/** `data` of `/api/v1/labels` and `/api/v1/label/…/values`. */
export const namesData = list(v.string());

export const configData = v.object({ yaml: v.string() });
export const buildInfoData = v.object({ version: v.string() });
export const flagsData = v.record(v.string(), v.string());
export const runtimeInfoData = v.object({
  reloadConfigSuccess: v.boolean(),
  lastConfigTime: v.string(),
});

const alertInstance = v.object({
  labels: labelSet,
  annotations: labelSet,
  state: alertState,
  activeAt: v.pipe(
    v.nullish(v.string()),
    v.transform((at) => (at === null || at === undefined ? undefined : parseTime(at))),
  ),
  value: text,
});

const evaluation = {
  name: text,
  query: text,
  labels: labelSet,
  health: text,
  lastError: text,
  evaluationTime: float,
  lastEvaluation: time,
};

const rule = v.variant('type', [
  v.object({ type: v.literal('recording'), ...evaluation }),
  v.object({
    type: v.literal('alerting'),
    ...evaluation,
    state: alertState,
    duration: float,
    keepFiringFor: float,
    annotations: labelSet,
    alerts: list(alertInstance),
  }),
]);

/** `data` of `/api/v1/rules`. Prometheus knows no partial responses, so its groups are strict. */
export const rulesData = v.pipe(
  v.object({
    groups: list(
      v.object({
        name: text,
        file: text,
        rules: list(rule),
        interval: float,
        limit: float,
        evaluationTime: float,
        lastEvaluation: time,
      }),
    ),
  }),
  v.transform(({ groups }): RuleGroup[] =>
    groups.map(({ rules, evaluationTime, ...group }) => ({
      ...group,
      rules: rules.map(toRule),
      evaluationDurationSeconds: evaluationTime,
      PartialResponseStrategy: PartialResponseStrategy.ABORT,
    })),
  ),
);

function toRule(found: v.InferOutput<typeof rule>): Rule {
  const { name, query, labels, health, lastError, evaluationTime, lastEvaluation } = found;
  const common = { name, query, labels, health, lastError, lastEvaluation };
  const evaluated = { ...common, evaluationDurationSeconds: evaluationTime };
  if (found.type === 'recording') return { result: { $case: 'recording', value: evaluated } };
  const { state, annotations, duration, keepFiringFor } = found;
  const alerts = found.alerts.map((alert) => ({
    ...alert,
    PartialResponseStrategy: PartialResponseStrategy.WARN,
  }));
  const value = {
    ...evaluated,
    state,
    annotations,
    alerts,
    durationSeconds: duration,
    keepFiringForSeconds: keepFiringFor,
  };
  return { result: { $case: 'alert', value } };
}

/** `data` of `/api/v1/targets`. */
export const targetsData: v.GenericSchema<unknown, TargetDiscovery> = v.object({
  activeTargets: list(
    v.object({
      discoveredLabels: labelSet,
      labels: labelSet,
      scrapePool: text,
      scrapeUrl: text,
      globalUrl: text,
      lastError: text,
      lastScrape: time,
      lastScrapeDuration: float,
      health: targetHealth,
    }),
  ),
  droppedTargets: list(v.object({ discoveredLabels: labelSet })),
});

/** `data` of `/api/v1/metadata`, by metric. */
export const metadataData: v.GenericSchema<unknown, Record<string, Meta[]>> = v.nullish(
  v.record(v.string(), v.array(v.object({ type: text, help: text, unit: text }))),
  {},
);

/** `data` of `/api/v1/query_exemplars`. Values are texts (`NaN`, `+Inf`), times are seconds. */
export const exemplarsData: v.GenericSchema<unknown, ExemplarData[]> = list(
  v.object({
    seriesLabels: labelSet,
    exemplars: list(
      v.pipe(
        v.object({ labels: labelSet, value: v.string(), timestamp: v.number() }),
        v.transform(({ labels, value, timestamp }) => ({
          labels,
          value: parseFloatText(value),
          ts: Math.round(timestamp * 1000),
        })),
      ),
    ),
  }),
);

const statistics = list(v.object({ name: text, value: float }));

/** `data` of `/api/v1/status/tsdb`. */
export const tsdbStatusData = v.pipe(
  v.object({
    headStats: v.nullish(
      v.object({ numSeries: float, numLabelPairs: float, minTime: float, maxTime: float }),
      { numSeries: 0, numLabelPairs: 0, minTime: 0, maxTime: 0 },
    ),
    seriesCountByMetricName: statistics,
    labelValueCountByLabelName: statistics,
    memoryInBytesByLabelName: statistics,
    seriesCountByLabelValuePair: statistics,
  }),
  v.transform(({ headStats, ...counts }): TSDBStatisticsEntry => {
    const headStatistics: HeadStatistics = {
      numSeries: headStats.numSeries,
      numLabelPairs: headStats.numLabelPairs,
      chunkCount: 0,
      minTime: toInt64(headStats.minTime),
      maxTime: toInt64(headStats.maxTime),
    };
    return { headStatistics, ...counts };
  }),
);

/** Text to the number of an enumeration whose names it has, in any case. */
function enumeration<T extends number>(values: Readonly<Record<string, T>>, what: string) {
  return v.pipe(
    v.string(),
    v.transform((name): T => {
      const value = values[name.toUpperCase()];
      if (value === undefined) throw new BadInputError(`unknown ${what} "${name}"`);
      return value;
    }),
  );
}

/** The largest and smallest times of an empty head do not survive as doubles. */
function toInt64(value: number): bigint {
  if (value >= 2 ** 63) return 2n ** 63n - 1n;
  if (value <= -(2 ** 63)) return -(2n ** 63n);
  return BigInt(Math.trunc(value));
}

function parseFloatText(value: string): number {
  return Number(value.replace('Inf', 'Infinity'));
}

/** RFC 3339 with up to nine fractional digits. */
function parseTime(value: string): Timestamp {
  const match = /^([^.]*?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(value);
  const wholeMs = match === null ? Number.NaN : Date.parse(match[1]! + match[3]!);
  if (Number.isNaN(wholeMs)) throw new BadInputError(`"${value}" is no RFC 3339 time`);
  const nanos = Number((match![2] ?? '').padEnd(9, '0'));
  return { seconds: BigInt(Math.floor(wholeMs / 1000)), nanos };
}

/** Checked by hand: these come by the hundred thousand. */
function isLabelObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  for (const name in value) {
    if (typeof (value as Record<string, unknown>)[name] !== 'string') return false;
  }
  return true;
}
