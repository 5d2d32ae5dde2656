import type { Meta, MetricMetadata, MetricMetadataRequest } from '#/proto/metadata.ts';
import type { EndpointContext, MetricMetadataSource } from '#/storeapi/endpoint-apis.ts';
import { gather } from './api-proxy/fan-out.ts';

export interface FoundMetadata {
  /** By metric name; of one metric each different entry once. */
  readonly metadata: ReadonlyMap<string, readonly Meta[]>;
  readonly warnings: readonly string[];
}

/** The metadata of all endpoints, for at most `limit` metrics unless that is below 0. */
export async function findMetricMetadata(
  source: MetricMetadataSource,
  request: MetricMetadataRequest,
  context: EndpointContext,
): Promise<FoundMetadata> {
  const answers = source.metricMetadata(request, context);
  const { items, warnings } = await gather<MetricMetadata>(answers);
  const metadata = new Map<string, Meta[]>();
  for (const [metric, { metas }] of items.flatMap((item) => [...item.metadata])) {
    let known = metadata.get(metric);
    if (known === undefined) {
      if (request.limit >= 0 && metadata.size >= request.limit) continue;
      metadata.set(metric, (known = []));
    }
    for (const meta of metas) if (!known.some((other) => isEqual(other, meta))) known.push(meta);
  }
  return { metadata, warnings };
}

function isEqual(a: Meta, b: Meta): boolean {
  return a.type === b.type && a.help === b.help && a.unit === b.unit;
}
