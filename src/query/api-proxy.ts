import { BadInputError } from '#/lib/errors.ts';
import type { Labels } from '#/model/labels.ts';
import { matchExternalLabels, printMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { parseExpression } from '#/promql/parser.ts';
import type { ExemplarsRequest, ExemplarsResponse } from '#/proto/exemplars.ts';
import type { MetricMetadataRequest, MetricMetadataResponse } from '#/proto/metadata.ts';
import type { RulesRequest, RulesResponse } from '#/proto/rules.ts';
import type { TSDBStatisticsRequest, TSDBStatisticsResponse } from '#/proto/status.ts';
import type { TargetsRequest, TargetsResponse } from '#/proto/targets.ts';
import {
  exemplarsClient,
  metricMetadataClient,
  rulesClient,
  statusClient,
  targetsClient,
} from '#/storeapi/endpoint-apis.ts';
import type {
  EndpointContext,
  ExemplarsSource,
  MetricMetadataSource,
  RulesSource,
  StatusSource,
  TargetsSource,
} from '#/storeapi/endpoint-apis.ts';
import { labelSetsMatch } from '#/storeapi/proxy-store.ts';
import { fanOut } from './api-proxy/fan-out.ts';
import { selectorsOf } from './api-proxy/selectors.ts';
import type { ApiEndpoint, EndpointApi } from './endpoints.ts';

/** The endpoints that serve an API at the moment: an `EndpointSet`, or a test's own. */
export interface ApiEndpoints {
  serving(api: EndpointApi): readonly ApiEndpoint[];
}

/**
 * The APIs besides the StoreAPI, each asked of every endpoint that serves it. Answers are handed on
 * as they come; rules.ts, targets.ts and their like merge them. Both HTTP and gRPC stand on it.
 */
export class ApiProxy
  implements RulesSource, TargetsSource, MetricMetadataSource, ExemplarsSource, StatusSource
{
  readonly #endpoints: ApiEndpoints;
  readonly #selectorLabels: Labels;

  constructor(endpoints: ApiEndpoints, selectorLabels: Labels) {
    this.#endpoints = endpoints;
    this.#selectorLabels = selectorLabels;
  }

  rules(request: RulesRequest, context: EndpointContext): AsyncIterable<RulesResponse> {
    const calls = this.#endpoints.serving('rules').map(({ name, channel }) => ({
      name,
      ask: (inner: EndpointContext) => rulesClient(channel()).rules(request, inner),
    }));
    const texts = { what: 'rules', client: 'rules' };
    return fanOut(texts, calls, request.partialResponseStrategy, context, warning);
  }

  targets(request: TargetsRequest, context: EndpointContext): AsyncIterable<TargetsResponse> {
    const calls = this.#endpoints.serving('targets').map(({ name, channel }) => ({
      name,
      ask: (inner: EndpointContext) => targetsClient(channel()).targets(request, inner),
    }));
    const texts = { what: 'targets', client: 'targets' };
    return fanOut(texts, calls, request.partialResponseStrategy, context, warning);
  }

  metricMetadata(
    request: MetricMetadataRequest,
    context: EndpointContext,
  ): AsyncIterable<MetricMetadataResponse> {
    const calls = this.#endpoints.serving('metricMetadata').map(({ name, channel }) => ({
      name,
      ask: (inner: EndpointContext) =>
        metricMetadataClient(channel()).metricMetadata(request, inner),
    }));
    const texts = { what: 'metric metadata', client: 'metadata' };
    return fanOut(texts, calls, request.partialResponseStrategy, context, warning);
  }

  tsdbStatistics(
    request: TSDBStatisticsRequest,
    context: EndpointContext,
  ): AsyncIterable<TSDBStatisticsResponse> {
    const calls = this.#endpoints.serving('status').map(({ name, channel }) => ({
      name,
      ask: (inner: EndpointContext) => statusClient(channel()).tsdbStatistics(request, inner),
    }));
    const texts = { what: 'tsdb statistics', client: 'status' };
    return fanOut(texts, calls, request.partialResponseStrategy, context, warning);
  }

  /** @throws BadInputError if the query is no PromQL or selects nothing. */
  async *exemplars(
    request: ExemplarsRequest,
    context: EndpointContext,
  ): AsyncGenerator<ExemplarsResponse, void> {
    const selectors = selectorsOf(parseExpression(request.query))
      .map((matchers) => matchExternalLabels(matchers, this.#selectorLabels))
      .filter((matchers) => matchers !== undefined);
    if (selectors.length === 0) return;
    if (selectors.some((matchers) => matchers.length === 0)) {
      throw new BadInputError('no matchers specified (excluding external labels)');
    }
    const calls = this.#endpoints.serving('exemplars').flatMap((endpoint) => {
      const query = exemplarQuery(endpoint, selectors);
      if (query === '') return [];
      const { name, channel } = endpoint;
      const ask = (inner: EndpointContext) =>
        exemplarsClient(channel()).exemplars({ ...request, query }, inner);
      return [{ name, ask }];
    });
    const texts = { what: 'exemplars', client: 'exemplars' };
    yield* fanOut(texts, calls, request.partialResponseStrategy, context, warning);
  }
}

/**
 * The selectors that the endpoint can answer, as one query. Prometheus does not know its external
 * labels, so matchers on them are left out; a querier needs them to find its own endpoints.
 */
function exemplarQuery({ info }: ApiEndpoint, selectors: readonly (readonly Matcher[])[]): string {
  const isExternal = (name: string) => info.labelSets.some((labels) => labels.has(name));
  const parts = selectors
    .filter((matchers) => labelSetsMatch(info.labelSets, matchers))
    .map((matchers) => {
      const kept = info.query ? matchers : matchers.filter(({ name }) => !isExternal(name));
      return `{${kept.map(printMatcher).join(', ')}}`;
    });
  return parts.join('+');
}

function warning(text: string) {
  return { result: { $case: 'warning', value: text } } as const;
}
