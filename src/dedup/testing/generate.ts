import { randomInteger, randomItem, seededRandom } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { staleNaN } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';

/** What a scraped target exposed over time, and how its replicas saw it. */
export interface Scenario {
  readonly kind: 'steady counter' | 'bursty counter' | 'gauge';
  readonly replicas: readonly SampleBuffer[];
  /** Milliseconds. */
  readonly longestInterval: number;
  readonly jitterMs: number;
  /** The largest difference between two replicas' clocks. */
  readonly skewMs: number;
  /** The counter's growth in `[from, to]` without its resets. */
  readonly growth: (from: number, to: number) => number;
  /** When the target restarted and its counters began at 0. */
  readonly resets: readonly number[];
}

const START_MS = 1_700_000_000_000;
const DURATION_MS = 7_200_000;

/** Two or three replicas that scrape one target, from a known truth; the same for the same seed. */
export function generateScenario(seed: number): Scenario {
  const random = seededRandom(seed);
  const kind = randomItem(random, ['steady counter', 'bursty counter', 'gauge'] as const);
  const resets = kind === 'gauge' ? [] : generateResets(random);
  const perSecond = Array.from({ length: DURATION_MS / 1000 + 60 }, () =>
    kind === 'bursty counter' ? randomItem(random, [0, 0, 1, 2, 40]) : 3,
  );
  const total = cumulative(perSecond);
  const valueAt = (time: number) => {
    if (kind === 'gauge') return Math.round(Math.sin(time / 100_000) * 1000);
    const since = resets.findLast((reset) => reset <= time) ?? START_MS - 3_600_000;
    return growthOf(total, Math.max(since, START_MS), time) + (since < START_MS ? 5000 : 0);
  };
  const interval = randomItem(random, [5000, 10_000, 15_000, 30_000]);
  const jitterMs = randomItem(random, [0, 2, 400]);
  const skewMs = randomItem(random, [0, 0, 1500]);
  const intervals: number[] = [];
  const count = randomInteger(random, 2, 3);
  const replicas = Array.from({ length: count }, (_, i) => {
    const own = random.next() < 0.15 ? interval * 2 : interval;
    intervals.push(own);
    return scrape(random, { own, jitterMs, skewMs: i === 0 ? 0 : skewMs, index: i, valueAt });
  });
  return {
    kind,
    replicas,
    longestInterval: Math.max(...intervals),
    jitterMs,
    skewMs,
    growth: (from, to) => growthOf(total, from, to),
    resets,
  };
}

interface Scraper {
  readonly own: number;
  readonly jitterMs: number;
  readonly skewMs: number;
  readonly index: number;
  readonly valueAt: (time: number) => number;
}

/** Misses single scrapes, leaves stale markers at some of them, and restarts with a new phase. */
function scrape(random: Random, { own, jitterMs, skewMs, index, valueAt }: Scraper): SampleBuffer {
  const missing = randomItem(random, [0, 0.02, 0.3, 0.6]);
  const marks = random.next() < 0.5;
  const samples = new SampleBuffer();
  let due = START_MS + randomInteger(random, 0, own);
  let down = START_MS + randomInteger(random, 0, 2 * DURATION_MS);
  let marked = true;
  for (; due < START_MS + DURATION_MS; due += own) {
    if (due >= down) {
      due += randomInteger(random, 0, 1_200_000);
      down = due + randomInteger(random, 600_000, 2 * DURATION_MS);
    }
    // Ten milliseconds apart by replica, so that no two samples share a time.
    const actual =
      Math.round(due / 10) * 10 + index + 10 * Math.round((jitterMs * random.next()) / 10);
    const time = actual + skewMs;
    if (samples.length > 0 && time <= samples.times[samples.length - 1]!) continue;
    if (random.next() >= missing) {
      samples.pushFloat(time, valueAt(actual));
      marked = false;
    } else if (marks && !marked) {
      samples.pushFloat(time, staleNaN());
      marked = true;
    }
  }
  return samples;
}

function generateResets(random: Random): number[] {
  const count = randomItem(random, [0, 0, 1, 3]);
  const times = Array.from(
    { length: count },
    () => START_MS + 1000 * randomInteger(random, 0, DURATION_MS / 1000),
  );
  return times.sort((a, b) => a - b);
}

function cumulative(perSecond: readonly number[]): Float64Array {
  const total = new Float64Array(perSecond.length + 1);
  for (const [i, increment] of perSecond.entries()) total[i + 1] = total[i]! + increment;
  return total;
}

function growthOf(total: Float64Array, from: number, to: number): number {
  return totalAt(total, to) - totalAt(total, from);
}

function totalAt(total: Float64Array, time: number): number {
  const seconds = Math.min(Math.max(0, (time - START_MS) / 1000), total.length - 1.001);
  const whole = Math.floor(seconds);
  return total[whole]! + (total[whole + 1]! - total[whole]!) * (seconds - whole);
}

/** The samples of a buffer without its stale markers. */
export function withoutMarkers(samples: SampleBuffer): SampleBuffer {
  const kept = new SampleBuffer(Math.max(1, samples.length));
  for (let i = 0; i < samples.length; i++) {
    if (!samples.isStaleAt(i)) kept.pushFrom(samples, i);
  }
  return kept;
}

/**
 * `rate` over `(from, to]` as PromQL defines it; `undefined` with less than two samples.
 * `samples` has no stale markers.
 */
export function rate(samples: SampleBuffer, from: number, to: number): number | undefined {
  const first = firstAfter(samples, from);
  const last = firstAfter(samples, to) - 1;
  if (last <= first) return undefined;
  const { times, values } = samples;
  let increase = values[last]! - values[first]!;
  for (let i = first + 1; i <= last; i++)
    if (values[i]! < values[i - 1]!) increase += values[i - 1]!;
  const sampled = times[last]! - times[first]!;
  const mean = sampled / (last - first);
  const limit = mean * 1.1;
  let toStart = times[first]! - from;
  let toEnd = to - times[last]!;
  if (toStart >= limit) toStart = mean / 2;
  if (increase > 0 && values[first]! >= 0) {
    toStart = Math.min(toStart, sampled * (values[first]! / increase));
  }
  if (toEnd >= limit) toEnd = mean / 2;
  return (increase * ((sampled + toStart + toEnd) / sampled)) / ((to - from) / 1000);
}

/** Index of the first sample after `time`. */
export function firstAfter({ times, length }: SampleBuffer, time: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}
