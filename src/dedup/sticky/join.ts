import type { Replica } from './replica.ts';

/** Where a merged counter stands when it is about to go on with another replica. */
export interface Standing {
  /** Time and level of the last sample taken, the level with the offset of its replica. */
  readonly time: number;
  readonly level: number;
  /** When the merged series fell last; −Infinity before that. */
  readonly lastReset: number;
  /** Whether the replica left behind itself fell between its last sample and its next one. */
  readonly leftFalls: boolean;
}

/**
 * How the merged counter goes on: at an offset, by a reset that a replica shows, or at values that
 * were reset but have already grown beyond the level.
 */
export type Join =
  | { readonly kind: 'onward'; readonly offset: number }
  | { readonly kind: 'reset' }
  | { readonly kind: 'overtaken' };

/**
 * How a counter goes on with sample `index` of `to`, so that it falls only where a replica fell.
 *
 * Replicas scrape one and the same counter, so their values usually fit together as they are, and
 * taking them as they are keeps sums over many switches exact. They fit when the level lies between
 * the samples of `to` around the switch. Where it does not (clocks apart, or totals that count from
 * different beginnings), `to` is shifted so that the series grows by what `to` itself grew since.
 */
export function joinCounter(standing: Standing, to: Replica, index: number): Join {
  const { level } = standing;
  const arrival = to.level(index);
  const { before, after, fell } = lookBack(to, index, standing.time);
  const asIs: Join = { kind: 'onward', offset: to.offset };
  if (Number.isNaN(level) || Number.isNaN(arrival)) return asIs;

  if (fell) {
    if (arrival >= level) return { kind: 'overtaken' };
    // The fall was seen already if the merged series fell after the last sample that `to` had.
    const seen = before >= 0 && standing.lastReset > to.time(before);
    return seen ? levelled(level, arrival) : { kind: 'reset' };
  }
  if (before < 0) {
    if (arrival + to.offset >= level) return asIs;
    return standing.leftFalls ? { kind: 'reset' } : levelled(level, arrival);
  }
  const fits = to.level(before) + to.offset <= level && level <= to.level(after) + to.offset;
  if (fits) return asIs;
  const then = interpolated(to, before, after, standing.time);
  return levelled(level + (arrival - then), arrival);
}

interface Surroundings {
  /** The last sample at or before the time, −1 for none, and the one behind it. */
  readonly before: number;
  readonly after: number;
  /** Whether the replica fell from `before`, or from its beginning, to the index asked about. */
  readonly fell: boolean;
}

function lookBack(to: Replica, index: number, time: number): Surroundings {
  let fell = false;
  let after = index;
  for (let i = index - 1; i >= 0; i--) {
    if (to.isMarker(i)) continue;
    if (to.level(after) < to.level(i)) fell = true;
    if (to.time(i) <= time) return { before: i, after, fell };
    after = i;
  }
  return { before: -1, after, fell };
}

/** The level at `time` on the straight line between two samples. */
function interpolated(to: Replica, before: number, after: number, time: number): number {
  const share = (time - to.time(before)) / (to.time(after) - to.time(before));
  return to.level(before) + (to.level(after) - to.level(before)) * share;
}

/** The offset at which `arrival` becomes `level`, or the next number above where rounding is short. */
function levelled(level: number, arrival: number): Join {
  let offset = level - arrival;
  if (arrival + offset < level) offset += Math.abs(level) * Number.EPSILON;
  return { kind: 'onward', offset };
}
