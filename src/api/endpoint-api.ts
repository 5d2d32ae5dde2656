import type { HttpRequest } from '#/http/server.ts';
import type { LabelSet } from '#/proto/types.ts';
import { PartialResponseStrategy } from '#/proto/types.ts';
import type { Timestamp } from '#/proto/well-known.ts';
import type { ApiProxy } from '#/query/api-proxy.ts';
import type { EndpointStatus } from '#/query/endpoints.ts';
import type { EndpointContext } from '#/storeapi/endpoint-apis.ts';

/** What the routes that ask the endpoints' own APIs work with. */
export interface EndpointApi {
  readonly proxy: ApiProxy;
  readonly statuses: () => readonly EndpointStatus[];
  readonly now: () => number;
  readonly timeoutMs: number;
  readonly replicaLabels: readonly string[];
  readonly partialResponse: boolean;
}

/** Whether failing endpoints become warnings: the parameter, or else the flag. */
export function strategyOf(api: EndpointApi, { params }: HttpRequest): PartialResponseStrategy {
  return params.boolean('partial_response', api.partialResponse)
    ? PartialResponseStrategy.WARN
    : PartialResponseStrategy.ABORT;
}

export function callContext(api: EndpointApi, { signal }: HttpRequest): EndpointContext {
  return { signal, timeoutMs: api.timeoutMs };
}

/** What the parameter `replicaLabels[]` or else the flag names; nothing without deduplication. */
export function replicaLabelsOf(api: EndpointApi, { params }: HttpRequest): readonly string[] {
  if (!params.boolean('dedup', true)) return [];
  const given = params.texts('replicaLabels[]').flatMap((text) => text.split(','));
  return given.length > 0 ? given : api.replicaLabels;
}

export function labelsJson(set: LabelSet | undefined): Record<string, string> {
  return Object.fromEntries((set?.labels ?? []).map(({ name, value }) => [name, value]));
}

const NEVER = '0001-01-01T00:00:00Z';
/** Seconds of year 1, which is what Go's zero time becomes on the wire. */
const ZERO_SECONDS = -62_135_596_800n;

/** RFC 3339 with as many digits of the nanoseconds as it takes. */
export function timeJson(time: Timestamp | undefined): string {
  if (time === undefined || time.seconds === ZERO_SECONDS) return NEVER;
  const whole = new Date(Number(time.seconds) * 1000).toISOString().slice(0, 19);
  const fraction = String(time.nanos).padStart(9, '0').replace(/0+$/, '');
  return fraction === '' ? `${whole}Z` : `${whole}.${fraction}Z`;
}
