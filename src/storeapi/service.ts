import xxhash from 'xxhash-wasm';
import { serve } from '#/grpc/method.ts';
import type { ServerCall, Service } from '#/grpc/method.ts';
import { Status, StatusError } from '#/grpc/status.ts';
import type { Labels } from '#/model/labels.ts';
import { LabelNamesResponseHints } from '#/proto/hints.ts';
import { InfoDefinition, InfoResponse } from '#/proto/info.ts';
import { StoreDefinition } from '#/proto/store.ts';
import type { LabelSet } from '#/proto/types.ts';
import type { Any } from '#/proto/well-known.ts';
import type {
  SeriesBatch,
  Store,
  StoreContext,
  StoreInfo,
  StoreNames,
  StoreSeries,
} from './store.ts';
import {
  labelNamesRequestOf,
  labelValuesRequestOf,
  seriesRequestOf,
  toInt64,
} from './wire/requests.ts';
import { seriesMethod } from './wire/series-method.ts';

export const TENANT_KEY = 'thanos-tenant';
export const REQUEST_ID_KEY = 'request-id';
/** `true` from callers that read chunks with start timestamps: ours, not Thanos's. */
export const START_TIMES_KEY = 'hindsight-start-timestamps';
const DEFAULT_TENANT = 'default-tenant';

const hasher = await xxhash();

export interface StoreServiceOptions {
  /** Whose data a call without a tenant asks for. Default `default-tenant`. */
  readonly defaultTenant?: string;
  /** Sends the xxHash64 of every chunk, which a merging peer computes itself otherwise. Default false. */
  readonly chunkHashes?: boolean;
}

/** Serves a store as `thanos.Store`. Failures become statuses by the table of grpc/status.ts. */
export function storeService(store: Store, options: StoreServiceOptions = {}): Service {
  const { defaultTenant = DEFAULT_TENANT, chunkHashes = false } = options;
  const context = (call: ServerCall) => storeContext(call, defaultTenant);
  const series = seriesMethod(chunkHashes ? (data) => hasher.h64Raw(data) : undefined);
  const definition = { ...StoreDefinition, methods: { ...StoreDefinition.methods, series } };
  return serve(definition, {
    series: (sent, call) => {
      const request = seriesRequestOf(sent);
      return inGroups(store.series(request, context(call)), request.batchSize);
    },
    labelNames: async (sent, call) => {
      const { names, warnings, queriedBlocks } = await store.labelNames(
        labelNamesRequestOf(sent),
        context(call),
      );
      return { names, warnings, ...hintsOf(queriedBlocks, 'LabelNamesResponseHints') };
    },
    labelValues: async (sent, call) => {
      const { names, warnings, queriedBlocks }: StoreNames = await store.labelValues(
        labelValuesRequestOf(sent),
        context(call),
      );
      return { values: names, warnings, ...hintsOf(queriedBlocks, 'LabelValuesResponseHints') };
    },
  });
}

/** What a component is and which APIs it serves besides `store`. */
export interface EndpointDescription {
  /** `query`, `sidecar`, `store`, `rule` or `receive`. */
  readonly component: string;
  /** Absent for an endpoint without series. */
  readonly store?: Pick<Store, 'info'>;
  readonly rules?: boolean;
  readonly targets?: boolean;
  readonly metricMetadata?: boolean;
  readonly exemplars?: boolean;
  readonly status?: boolean;
  readonly query?: boolean;
  /** While false, Info fails, and queriers keep what they knew of the endpoint. */
  readonly isReady: () => boolean;
}

/** Serves `thanos.info.Info`, asking the store anew for every call. */
export function infoService(endpoint: EndpointDescription): Service {
  return serve(InfoDefinition, {
    info: async () => {
      if (!endpoint.isReady()) throw new StatusError(Status.Unknown, 'Not ready');
      const info = endpoint.store?.info();
      return InfoResponse.fromPartial({
        ComponentType: endpoint.component,
        labelSets: info?.labelSets.map(labelSet) ?? [],
        ...(info === undefined ? {} : { store: storeInfo(info) }),
        ...(endpoint.rules === true ? { rules: {} } : {}),
        ...(endpoint.metricMetadata === true ? { metricMetadata: {} } : {}),
        ...(endpoint.targets === true ? { targets: {} } : {}),
        ...(endpoint.exemplars === true ? { exemplars: {} } : {}),
        ...(endpoint.query === true ? { query: {} } : {}),
        ...(endpoint.status === true ? { status: {} } : {}),
      });
    },
  });
}

/**
 * Regroups an answer into what goes out as one frame each: `size` series at most, one without
 * batching, whatever pieces the store makes. Warnings do not wait for a group to fill, and a store
 * that fails has sent what it answered until then.
 */
async function* inGroups(
  batches: AsyncIterable<SeriesBatch>,
  size: number,
): AsyncGenerator<SeriesBatch, void> {
  const limit = Math.max(1, size);
  let group: StoreSeries[] = [];
  try {
    for await (const { series, warnings, stats } of batches) {
      for (const one of series) {
        group.push(one);
        if (group.length < limit) continue;
        yield { series: group, warnings: [] };
        group = [];
      }
      if (warnings.length === 0 && stats === undefined) continue;
      yield { series: group, warnings: [] };
      group = [];
      yield { series: [], warnings, ...(stats === undefined ? {} : { stats }) };
    }
  } catch (thrown) {
    if (group.length > 0) yield { series: group, warnings: [] };
    throw thrown;
  }
  if (group.length > 0) yield { series: group, warnings: [] };
}

function storeContext(call: ServerCall, defaultTenant: string): StoreContext {
  const requestId = call.metadata(REQUEST_ID_KEY);
  return {
    signal: call.signal,
    tenant: call.metadata(TENANT_KEY) ?? defaultTenant,
    ...(requestId === undefined ? {} : { requestId }),
    ...(call.metadata(START_TIMES_KEY) === 'true' ? { startTimes: true } : {}),
  };
}

function hintsOf(blocks: readonly string[] | undefined, name: string): { hints?: Any } {
  if (blocks === undefined) return {};
  // The answers to names and values have equal hints.
  const hints = { queriedBlocks: blocks.map((id) => ({ id })) };
  return {
    hints: {
      typeUrl: `type.googleapis.com/hintspb.${name}`,
      value: LabelNamesResponseHints.encode(hints).finish(),
    },
  };
}

function storeInfo(info: StoreInfo): InfoResponse['store'] {
  return {
    minTime: toInt64(info.mint),
    maxTime: toInt64(info.maxt),
    supportsSharding: info.supportsSharding,
    supportsWithoutReplicaLabels: info.supportsWithoutReplicaLabels,
    supportsProjections: false,
    tsdbInfos: info.tsdbInfos.map(({ labels, mint, maxt }) => ({
      labels: labelSet(labels),
      minTime: toInt64(mint),
      maxTime: toInt64(maxt),
    })),
  };
}

function labelSet(labels: Labels): LabelSet {
  return { labels: [...labels] };
}
