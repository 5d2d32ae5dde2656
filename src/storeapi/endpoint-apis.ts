import { clientOf } from '#/grpc/client.ts';
import type { Caller } from '#/grpc/client.ts';
import { serve } from '#/grpc/method.ts';
import type { CallOptions, ServerCall, Service } from '#/grpc/method.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { ExemplarsDefinition } from '#/proto/exemplars.ts';
import type { ExemplarsRequest, ExemplarsResponse } from '#/proto/exemplars.ts';
import { MetadataDefinition } from '#/proto/metadata.ts';
import type { MetricMetadataRequest, MetricMetadataResponse } from '#/proto/metadata.ts';
import { QueryDefinition } from '#/proto/query.ts';
import type {
  QueryRangeRequest,
  QueryRangeResponse,
  QueryRequest,
  QueryResponse,
} from '#/proto/query.ts';
import { RulesDefinition } from '#/proto/rules.ts';
import type { RulesRequest, RulesResponse } from '#/proto/rules.ts';
import { StatusDefinition } from '#/proto/status.ts';
import type { TSDBStatisticsRequest, TSDBStatisticsResponse } from '#/proto/status.ts';
import { WriteableStoreDefinition } from '#/proto/store.ts';
import type { WriteRequest, WriteResponse } from '#/proto/store.ts';
import { TargetsDefinition } from '#/proto/targets.ts';
import type { TargetsRequest, TargetsResponse } from '#/proto/targets.ts';

export { matcherOf, matcherToWire, shardOf } from './wire/requests.ts';

/*
 * The APIs of an endpoint besides the StoreAPI. Each is an interface that a component implements, a
 * function that serves it and one that makes it from a channel to another endpoint. Requests and
 * answers are the messages of the wire; an answer is data or a warning. Failures are thrown.
 */

/** What travels with a call besides its request. */
export interface EndpointContext {
  readonly signal: AbortSignal;
  /** Sent with the request where the API knows tenants; read from it when serving. */
  readonly tenant?: string;
  readonly timeoutMs?: number;
}

/** Recording and alerting rules with their state. Only `type` of the request filters here. */
export interface RulesSource {
  rules(request: RulesRequest, context: EndpointContext): AsyncIterable<RulesResponse>;
}

export interface TargetsSource {
  targets(request: TargetsRequest, context: EndpointContext): AsyncIterable<TargetsResponse>;
}

export interface MetricMetadataSource {
  metricMetadata(
    request: MetricMetadataRequest,
    context: EndpointContext,
  ): AsyncIterable<MetricMetadataResponse>;
}

export interface ExemplarsSource {
  exemplars(request: ExemplarsRequest, context: EndpointContext): AsyncIterable<ExemplarsResponse>;
}

export interface StatusSource {
  tsdbStatistics(
    request: TSDBStatisticsRequest,
    context: EndpointContext,
  ): AsyncIterable<TSDBStatisticsResponse>;
}

/** PromQL evaluation: at most one answer of warnings first, then series, at last statistics. */
export interface QuerySource {
  query(request: QueryRequest, context: EndpointContext): AsyncIterable<QueryResponse>;
  queryRange(
    request: QueryRangeRequest,
    context: EndpointContext,
  ): AsyncIterable<QueryRangeResponse>;
}

export interface WriteSink {
  remoteWrite(request: WriteRequest, context: EndpointContext): Promise<WriteResponse>;
}

export function rulesService(source: RulesSource): Service {
  return serve(RulesDefinition, {
    rules: (request, call) => source.rules(request, contextOf(call)),
  });
}

export function rulesClient(channel: Caller): RulesSource {
  const client = clientOf(RulesDefinition, channel);
  return {
    rules: (request, context) => checked(client.rules(request, optionsOf(context)), channel),
  };
}

export function targetsService(source: TargetsSource): Service {
  return serve(TargetsDefinition, {
    targets: (request, call) => source.targets(request, contextOf(call)),
  });
}

export function targetsClient(channel: Caller): TargetsSource {
  const client = clientOf(TargetsDefinition, channel);
  return {
    targets: (request, context) => checked(client.targets(request, optionsOf(context)), channel),
  };
}

export function metricMetadataService(source: MetricMetadataSource): Service {
  return serve(MetadataDefinition, {
    metricMetadata: (request, call) => source.metricMetadata(request, contextOf(call)),
  });
}

export function metricMetadataClient(channel: Caller): MetricMetadataSource {
  const client = clientOf(MetadataDefinition, channel);
  return {
    metricMetadata: (request, context) =>
      checked(client.metricMetadata(request, optionsOf(context)), channel),
  };
}

export function exemplarsService(source: ExemplarsSource): Service {
  return serve(ExemplarsDefinition, {
    exemplars: (request, call) => source.exemplars(request, contextOf(call)),
  });
}

export function exemplarsClient(channel: Caller): ExemplarsSource {
  const client = clientOf(ExemplarsDefinition, channel);
  return {
    exemplars: (request, context) =>
      checked(client.exemplars(request, optionsOf(context)), channel),
  };
}

export function statusService(source: StatusSource): Service {
  return serve(StatusDefinition, {
    tSDBStatistics: (request, call) => source.tsdbStatistics(request, contextOf(call)),
  });
}

export function statusClient(channel: Caller): StatusSource {
  const client = clientOf(StatusDefinition, channel);
  return {
    tsdbStatistics: (request, context) =>
      checked(client.tSDBStatistics(request, optionsOf(context)), channel),
  };
}

export function queryService(source: QuerySource): Service {
  return serve(QueryDefinition, {
    query: (request, call) => source.query(request, contextOf(call)),
    queryRange: (request, call) => source.queryRange(request, contextOf(call)),
  });
}

export function queryClient(channel: Caller): QuerySource {
  const client = clientOf(QueryDefinition, channel);
  return {
    query: (request, context) => client.query(request, optionsOf(context)),
    queryRange: (request, context) => client.queryRange(request, optionsOf(context)),
  };
}

export function writeService(sink: WriteSink): Service {
  return serve(WriteableStoreDefinition, {
    remoteWrite: (request, call) => sink.remoteWrite(request, contextOf(call)),
  });
}

export function writeClient(channel: Caller): WriteSink {
  const client = clientOf(WriteableStoreDefinition, channel);
  return { remoteWrite: (request, context) => client.remoteWrite(request, optionsOf(context)) };
}

/** Every answer has to say something; an empty one comes from a peer that is out of order. */
async function* checked<
  Response extends { readonly result?: { readonly value: unknown } | undefined },
>(responses: AsyncIterable<Response>, { address }: Caller): AsyncGenerator<Response, void> {
  for await (const response of responses) {
    if (response.result === undefined || response.result.value === '') {
      throw new UnavailableError(`${address}: found an empty answer, expected data or a warning`);
    }
    yield response;
  }
}

const TENANT_KEY = 'thanos-tenant';

function contextOf(call: ServerCall): EndpointContext {
  const tenant = call.metadata(TENANT_KEY);
  return { signal: call.signal, ...(tenant === undefined ? {} : { tenant }) };
}

function optionsOf({ signal, tenant, timeoutMs }: EndpointContext): CallOptions {
  return {
    signal,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(tenant === undefined ? {} : { metadata: { [TENANT_KEY]: tenant } }),
  };
}
