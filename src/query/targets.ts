import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type {
  ActiveTarget,
  DroppedTarget,
  TargetDiscovery,
  TargetsRequest,
} from '#/proto/targets.ts';
import type { EndpointContext, TargetsSource } from '#/storeapi/endpoint-apis.ts';
import { gather } from './api-proxy/fan-out.ts';
import { labelsOf, timeMsOf, withoutReplicas } from './api-proxy/label-sets.ts';

export interface FoundTargets extends TargetDiscovery {
  readonly warnings: readonly string[];
}

/** The targets of all endpoints; of those that differ in replica labels only, one is kept. */
export async function findTargets(
  source: TargetsSource,
  request: TargetsRequest,
  replicaLabels: readonly string[],
  context: EndpointContext,
): Promise<FoundTargets> {
  const { items, warnings } = await gather<TargetDiscovery>(source.targets(request, context));
  const replicas = new Set(replicaLabels);
  const active = items
    .flatMap(({ activeTargets }) => activeTargets)
    .map((target) => ({
      ...target,
      discoveredLabels: withoutReplicas(target.discoveredLabels, replicas),
      labels: withoutReplicas(target.labels, replicas),
    }));
  const dropped = items
    .flatMap(({ droppedTargets }) => droppedTargets)
    .map(({ discoveredLabels }) => ({
      discoveredLabels: withoutReplicas(discoveredLabels, replicas),
    }));
  return {
    activeTargets: dedup(active, compareActive, compareState),
    droppedTargets: dedup(dropped, compareDropped, () => 0),
    warnings,
  };
}

/** Of equal items the first in the order of `prefer` is kept. */
function dedup<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  prefer: (a: T, b: T) => number,
): T[] {
  const sorted = [...items].sort((a, b) => compare(a, b) || prefer(a, b));
  return sorted.filter((item, i) => i === 0 || compare(sorted[i - 1]!, item) !== 0);
}

function compareActive(a: ActiveTarget, b: ActiveTarget): number {
  return (
    compareUtf8(a.scrapeUrl, b.scrapeUrl) ||
    compareUtf8(a.scrapePool, b.scrapePool) ||
    compareDropped(a, b) ||
    compareLabels(labelsOf(a.labels), labelsOf(b.labels))
  );
}

function compareDropped(a: DroppedTarget, b: DroppedTarget): number {
  return compareLabels(labelsOf(a.discoveredLabels), labelsOf(b.discoveredLabels));
}

/** A target that is down for one replica is shown as down; otherwise the latest scrape counts. */
function compareState(a: ActiveTarget, b: ActiveTarget): number {
  return a.health - b.health || timeMsOf(b.lastScrape) - timeMsOf(a.lastScrape) || 0;
}
