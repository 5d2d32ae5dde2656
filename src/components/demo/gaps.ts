import type { Random } from '#/lib/random.ts';

/** A half-open range of time, in milliseconds. */
export interface Gap {
  readonly start: number;
  readonly end: number;
}

const SHORTEST_MS = 60_000;
const LONGEST_MS = 3 * 3_600_000;

/**
 * Gaps that leave out about `share` of `[start, end)`: each between a minute and three hours long,
 * in time order, none touching another.
 */
export function punchGaps(random: Random, start: number, end: number, share: number): Gap[] {
  const gaps: Gap[] = [];
  const meanLength = (SHORTEST_MS + LONGEST_MS) / 2;
  const meanPause = (meanLength * (1 - share)) / share;
  for (let time = start; ;) {
    const gapStart = time + Math.max(SHORTEST_MS, meanPause * 2 * random.next());
    const gapEnd = gapStart + SHORTEST_MS + (LONGEST_MS - SHORTEST_MS) * random.next();
    if (gapEnd >= end) return gaps;
    gaps.push({ start: Math.round(gapStart), end: Math.round(gapEnd) });
    time = gapEnd;
  }
}

/** Whether `time` is in one of the gaps, which are in time order. */
export function isInGap(gaps: readonly Gap[], time: number): boolean {
  let low = 0;
  let high = gaps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (gaps[middle]!.end <= time) low = middle + 1;
    else high = middle;
  }
  return low < gaps.length && gaps[low]!.start <= time;
}
