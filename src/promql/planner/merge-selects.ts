import { printMatcher } from '#/model/matcher.ts';
import type { SelectRequest } from '#/storage/queryable.ts';
import type { PlanNode } from './nodes.ts';
import { mapRequests } from './nodes.ts';

/**
 * Lets selectors with the same matchers and hints share one request over all their times, so that
 * `rate(x[5m]) / rate(x[5m] offset 1h)` reads its series once. Requests with other hints stay apart:
 * a source may answer them from other data.
 */
export function mergeSelects(plan: PlanNode): PlanNode {
  const merged = new Map<string, SelectRequest>();
  mapRequests(plan, (request) => {
    const key = keyOf(request);
    const known = merged.get(key);
    merged.set(key, known === undefined ? request : union(known, request));
    return request;
  });
  return mapRequests(plan, (request) => merged.get(keyOf(request))!);
}

function union(a: SelectRequest, b: SelectRequest): SelectRequest {
  return { ...a, mint: Math.min(a.mint, b.mint), maxt: Math.max(a.maxt, b.maxt) };
}

function keyOf({ matchers, hints }: SelectRequest): string {
  return JSON.stringify([matchers.map(printMatcher), hints]);
}
