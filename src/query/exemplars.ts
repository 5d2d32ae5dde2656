import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { Exemplar, ExemplarData, ExemplarsRequest } from '#/proto/exemplars.ts';
import type { EndpointContext, ExemplarsSource } from '#/storeapi/endpoint-apis.ts';
import { gather } from './api-proxy/fan-out.ts';
import { labelsOf } from './api-proxy/label-sets.ts';

/** The exemplars of one series, by time. */
export interface SeriesExemplars {
  readonly labels: Labels;
  readonly exemplars: readonly Exemplar[];
}

export interface FoundExemplars {
  /** Sorted by labels. */
  readonly series: readonly SeriesExemplars[];
  readonly warnings: readonly string[];
}

/** The exemplars of all endpoints, put together by the labels without replica labels. */
export async function findExemplars(
  source: ExemplarsSource,
  request: ExemplarsRequest,
  replicaLabels: readonly string[],
  context: EndpointContext,
): Promise<FoundExemplars> {
  const { items, warnings } = await gather<ExemplarData>(source.exemplars(request, context));
  const replicas = new Set(replicaLabels);
  const byLabels = new Map<string, { labels: Labels; exemplars: Exemplar[] }>();
  for (const { seriesLabels, exemplars } of items) {
    if (exemplars.length === 0) continue;
    const labels = labelsOf(seriesLabels).without(replicas);
    const known = byLabels.get(labels.key);
    if (known === undefined) byLabels.set(labels.key, { labels, exemplars: [...exemplars] });
    else known.exemplars.push(...exemplars);
  }
  const series = Array.from(byLabels.values(), ({ labels, exemplars }) => ({
    labels,
    exemplars: dedup(exemplars),
  }));
  return { series: series.sort((a, b) => compareLabels(a.labels, b.labels)), warnings };
}

function dedup(exemplars: readonly Exemplar[]): Exemplar[] {
  const sorted = [...exemplars].sort(compareExemplars);
  return sorted.filter((item, i) => i === 0 || compareExemplars(sorted[i - 1]!, item) !== 0);
}

/** By time, then labels, then value. */
function compareExemplars(a: Exemplar, b: Exemplar): number {
  return a.ts - b.ts || compareLabels(labelsOf(a.labels), labelsOf(b.labels)) || a.value - b.value;
}
