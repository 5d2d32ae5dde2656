import { UnavailableError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import type { ExemplarsRequest, ExemplarsResponse } from '#/proto/exemplars.ts';
import type { MetricMetadataRequest, MetricMetadataResponse } from '#/proto/metadata.ts';
import { RulesRequest_Type } from '#/proto/rules.ts';
import type { Rule, RulesRequest, RulesResponse } from '#/proto/rules.ts';
import type {
  TSDBStatisticsEntry,
  TSDBStatisticsRequest,
  TSDBStatisticsResponse,
} from '#/proto/status.ts';
import { TargetsRequest_State } from '#/proto/targets.ts';
import type { TargetsRequest, TargetsResponse } from '#/proto/targets.ts';
import type { LabelSet } from '#/proto/types.ts';
import type {
  EndpointContext,
  ExemplarsSource,
  MetricMetadataSource,
  RulesSource,
  StatusSource,
  TargetsSource,
} from './endpoint-apis.ts';
import type { PrometheusClient } from './prometheus-client.ts';
import { matcherOf } from './wire/requests.ts';

export interface PrometheusApisOptions {
  readonly client: PrometheusClient;
  readonly externalLabels: () => Labels;
  /** Statistics are refused while this is false. */
  readonly isReady: () => boolean;
}

/**
 * What one Prometheus answers besides its series. Prometheus leaves its external labels out of
 * rules, targets and exemplars; here they are added, and win over equal names.
 */
export class PrometheusApis
  implements RulesSource, TargetsSource, MetricMetadataSource, ExemplarsSource, StatusSource
{
  readonly #client: PrometheusClient;
  readonly #externalLabels: () => Labels;
  readonly #isReady: () => boolean;

  constructor({ client, externalLabels, isReady }: PrometheusApisOptions) {
    this.#client = client;
    this.#externalLabels = externalLabels;
    this.#isReady = isReady;
  }

  async *rules({ type }: RulesRequest, { signal }: EndpointContext): AsyncGenerator<RulesResponse> {
    const groups = await this.#client.rules(ruleTypes[type], signal);
    const extend = this.#extender();
    for (const group of groups) {
      const rules = group.rules.map((rule) => extendRule(rule, extend));
      yield { result: { $case: 'group', value: { ...group, rules } } };
    }
  }

  async *targets(
    { state }: TargetsRequest,
    { signal }: EndpointContext,
  ): AsyncGenerator<TargetsResponse> {
    const { activeTargets, droppedTargets } = await this.#client.targets(
      targetStates[state],
      signal,
    );
    const extend = this.#extender();
    const value = {
      activeTargets: activeTargets.map((target) => ({
        ...target,
        discoveredLabels: extend(target.discoveredLabels),
        labels: extend(target.labels),
      })),
      droppedTargets: droppedTargets.map(({ discoveredLabels }) => ({
        discoveredLabels: extend(discoveredLabels),
      })),
    };
    yield { result: { $case: 'targets', value } };
  }

  async *metricMetadata(
    { metric, limit }: MetricMetadataRequest,
    { signal }: EndpointContext,
  ): AsyncGenerator<MetricMetadataResponse> {
    const found = await this.#client.metadata(metric, limit, signal);
    const entries = Object.entries(found).map(([name, metas]) => [name, { metas }] as const);
    yield { result: { $case: 'metadata', value: { metadata: new Map(entries) } } };
  }

  async *exemplars(
    { query, start, end }: ExemplarsRequest,
    { signal }: EndpointContext,
  ): AsyncGenerator<ExemplarsResponse> {
    const found = await this.#client.exemplars(query, Number(start), Number(end), signal);
    const extend = this.#extender();
    for (const { seriesLabels, exemplars } of found) {
      yield {
        result: { $case: 'data', value: { seriesLabels: extend(seriesLabels), exemplars } },
      };
    }
  }

  async *tsdbStatistics(
    { limit, matchers }: TSDBStatisticsRequest,
    { signal }: EndpointContext,
  ): AsyncGenerator<TSDBStatisticsResponse> {
    if (!this.#isReady()) throw new UnavailableError('not ready: Prometheus does not answer');
    const statistics = new Map<string, TSDBStatisticsEntry>();
    const labels = this.#externalLabels();
    if (matchesAll(matchers.map(matcherOf), labels)) {
      // Prometheus has no tenants, hence the empty key.
      statistics.set('', shortened(await this.#client.tsdbStatus(limit, signal), limit));
    }
    yield { result: { $case: 'statistics', value: { statistics } } };
  }

  #extender(): (labels: LabelSet | undefined) => LabelSet {
    const external = [...this.#externalLabels()];
    return (set) => ({ labels: [...Labels.from([...(set?.labels ?? []), ...external])] });
  }
}

const ruleTypes = {
  [RulesRequest_Type.ALL]: undefined,
  [RulesRequest_Type.ALERT]: 'alert',
  [RulesRequest_Type.RECORD]: 'record',
} as const;

const targetStates = {
  [TargetsRequest_State.ANY]: undefined,
  [TargetsRequest_State.ACTIVE]: 'active',
  [TargetsRequest_State.DROPPED]: 'dropped',
} as const;

function extendRule({ result }: Rule, extend: (labels: LabelSet | undefined) => LabelSet): Rule {
  if (result === undefined) return {};
  const { value } = result;
  const labels = extend(value.labels);
  return result.$case === 'recording'
    ? { result: { $case: 'recording', value: { ...result.value, labels } } }
    : { result: { $case: 'alert', value: { ...result.value, labels } } };
}

/** Old versions know no limit and send ten entries of each list. */
function shortened(entry: TSDBStatisticsEntry, limit: number): TSDBStatisticsEntry {
  if (limit <= 0) return entry;
  return {
    ...entry,
    seriesCountByMetricName: entry.seriesCountByMetricName.slice(0, limit),
    labelValueCountByLabelName: entry.labelValueCountByLabelName.slice(0, limit),
    memoryInBytesByLabelName: entry.memoryInBytesByLabelName.slice(0, limit),
    seriesCountByLabelValuePair: entry.seriesCountByLabelValuePair.slice(0, limit),
  };
}
