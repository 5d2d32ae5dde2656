import { printMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { formatDuration } from '#/model/time.ts';
import type { StoreSeries } from '#/storeapi/store.ts';
import { resolutionOf, windowStart } from './resolution.ts';

interface Stretch {
  readonly mint: number;
  readonly maxt: number;
}

/**
 * What the user should know of the resolutions that a select was answered in: which windows stand
 * for which range of time. `undefined` if all is raw.
 */
export function describeResolutions(
  found: readonly StoreSeries[],
  matchers: readonly Matcher[],
): string | undefined {
  const stretches = new Map<number, Stretch>();
  for (const { chunks } of found) {
    for (const chunk of chunks) {
      if (chunk.raw !== undefined) continue;
      const resolution = resolutionOf(chunk);
      const mint = windowStart(chunk.mint, resolution);
      const known = stretches.get(resolution) ?? { mint, maxt: chunk.maxt };
      stretches.set(resolution, {
        mint: Math.min(known.mint, mint),
        maxt: Math.max(known.maxt, chunk.maxt),
      });
    }
  }
  if (stretches.size === 0) return undefined;
  const parts = [...stretches]
    .sort(([a], [b]) => a - b)
    .map(([resolution, { mint, maxt }]) => {
      return `windows of ${formatDuration(resolution)} from ${utc(mint)} to ${utc(maxt + 1)}`;
    });
  return `{${matchers.map(printMatcher).join(',')}} has downsampled data: ${parts.join(', ')}`;
}

function utc(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}
