import { BadInputError } from '#/lib/errors.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import { TargetHealth, TargetsRequest_State } from '#/proto/targets.ts';
import type { ActiveTarget } from '#/proto/targets.ts';
import { findMetricMetadata } from '#/query/metric-metadata.ts';
import { findTargets } from '#/query/targets.ts';
import { callContext, labelsJson, replicaLabelsOf, strategyOf, timeJson } from './endpoint-api.ts';
import type { EndpointApi } from './endpoint-api.ts';
import { apiRoute } from './envelope.ts';
import type { ApiResult } from './envelope.ts';

/** `/api/v1/targets` and `/api/v1/metadata`: of all sidecars. */
export function targetsRoutes(api: EndpointApi): Route[] {
  return [
    apiRoute(['GET'], '/targets', 'targets', (request) => targets(api, request)),
    apiRoute(['GET'], '/metadata', 'metadata', (request) => metadata(api, request)),
  ];
}

const STATES = new Map<string, TargetsRequest_State>([
  ['', TargetsRequest_State.ANY],
  ['any', TargetsRequest_State.ANY],
  ['active', TargetsRequest_State.ACTIVE],
  ['dropped', TargetsRequest_State.DROPPED],
]);

async function targets(api: EndpointApi, request: HttpRequest): Promise<ApiResult> {
  const text = request.params.text('state');
  const state = STATES.get(text.toLowerCase());
  if (state === undefined) throw new BadInputError(`invalid targets parameter state='${text}'`);
  const { activeTargets, droppedTargets, warnings } = await findTargets(
    api.proxy,
    { state, partialResponseStrategy: strategyOf(api, request) },
    replicaLabelsOf(api, request),
    callContext(api, request),
  );
  const data = {
    activeTargets: activeTargets.map(targetJson),
    droppedTargets: droppedTargets.map(({ discoveredLabels }) => ({
      discoveredLabels: labelsJson(discoveredLabels),
    })),
  };
  return { data, warnings };
}

function targetJson(target: ActiveTarget) {
  const health = Object.entries(TargetHealth).find(([, value]) => value === target.health)?.[0];
  return {
    discoveredLabels: labelsJson(target.discoveredLabels),
    labels: labelsJson(target.labels),
    scrapePool: target.scrapePool,
    scrapeUrl: target.scrapeUrl,
    globalUrl: target.globalUrl,
    lastError: target.lastError,
    lastScrape: timeJson(target.lastScrape),
    lastScrapeDuration: target.lastScrapeDuration,
    health: (health ?? 'unknown').toLowerCase(),
  };
}

async function metadata(api: EndpointApi, request: HttpRequest): Promise<ApiResult> {
  const { params } = request;
  const limit = params.text('limit');
  if (limit !== '' && !/^-?\d+$/.test(limit)) {
    throw new BadInputError(`invalid metadata parameter limit='${limit}'`);
  }
  const found = await findMetricMetadata(
    api.proxy,
    {
      metric: params.text('metric'),
      limit: limit === '' ? -1 : Number(limit),
      partialResponseStrategy: strategyOf(api, request),
    },
    callContext(api, request),
  );
  return { data: Object.fromEntries(found.metadata), warnings: found.warnings };
}
