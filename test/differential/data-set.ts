import { seededRandom } from '#/lib/random.ts';
import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { Labels } from '#/model/labels.ts';
import { staleNaN } from '#/model/stale.ts';
import type { BlockBuilder } from '#/tsdb/block-builder.ts';

/** The data covers `[startMs, endMs)`: two blocks of two hours. */
export const startMs = Date.UTC(2024, 4, 1);
export const blockMs = 2 * 3_600_000;
export const endMs = startMs + 2 * blockMs;

type Sample = { readonly time: number; readonly value: number | FloatHistogram };

/**
 * Fills a block with the samples of `[start, end)`. Everything that tells engines apart is there:
 * jittered scrapes, counter resets, gaps, stale markers, infinities and NaNs, classic and native
 * histograms. The same calls give the same data.
 */
export function fillBlock(builder: BlockBuilder, start: number, end: number): void {
  for (const { labels, samples } of allSeries()) {
    const own = samples.filter(({ time }) => time >= start && time < end);
    if (own.length === 0) continue;
    const buffer = builder.samples(labels);
    for (const { time, value } of own) {
      if (typeof value === 'number') buffer.pushFloat(time, value);
      else buffer.pushHistogram(time, value);
    }
  }
}

interface TestSeries {
  readonly labels: Labels;
  readonly samples: readonly Sample[];
}

function allSeries(): TestSeries[] {
  const targets = ['a', 'b', 'c'].flatMap((instance) =>
    ['x', 'y'].map((zone) => ({ instance, zone })),
  );
  return targets.flatMap((target, i) => [
    { labels: named('gauge', target), samples: gauge(i, 15_000) },
    { labels: named('other_gauge', target), samples: gauge(i + 100, 30_000) },
    { labels: named('counter_total', target), samples: counter(i) },
    { labels: named('gappy', target), samples: gappy(i) },
    { labels: named('stale_gauge', target), samples: goesStale(i) },
    { labels: named('special', target), samples: special(i) },
    ...classicHistogram(target, i),
    { labels: named('native', target), samples: nativeHistogram(i) },
  ]);
}

function named(name: string, labels: Record<string, string>): Labels {
  return Labels.fromObject({ __name__: name, ...labels });
}

/** Scrape times with some jitter, none twice. */
function times(seed: number, intervalMs: number): number[] {
  const random = seededRandom(seed);
  const phase = Math.floor(random.next() * intervalMs);
  const scrapes: number[] = [];
  for (let time = startMs + phase; time < endMs; time += intervalMs) {
    scrapes.push(time + Math.floor((random.next() - 0.5) * 200));
  }
  return scrapes.filter((time) => time >= startMs && time < endMs);
}

function gauge(seed: number, intervalMs: number): Sample[] {
  const random = seededRandom(seed + 1);
  let level = 0;
  return times(seed, intervalMs).map((time) => {
    level += random.next() - 0.5;
    return { time, value: Math.sin(time / 600_000) * 3 + level };
  });
}

function counter(seed: number): Sample[] {
  const random = seededRandom(seed + 2);
  let total = 0;
  return times(seed + 2, 15_000).map((time) => {
    total = random.next() < 0.004 ? 0 : total + random.next() * 40;
    return { time, value: total };
  });
}

/** Loses whole minutes at a time. */
function gappy(seed: number): Sample[] {
  const random = seededRandom(seed + 3);
  let until = 0;
  return gauge(seed + 50, 15_000).filter(({ time }) => {
    if (time >= until && random.next() < 0.02) until = time + random.next() * 900_000;
    return time >= until;
  });
}

/** Ends with a stale marker now and then, and comes back later. */
function goesStale(seed: number): Sample[] {
  const random = seededRandom(seed + 4);
  let away = 0;
  return gauge(seed + 70, 15_000).flatMap(({ time, value }): Sample[] => {
    if (away > 0) {
      away--;
      return [];
    }
    if (random.next() > 0.01) return [{ time, value }];
    away = Math.floor(random.next() * 30);
    return [{ time, value: staleNaN() }];
  });
}

/** No subnormal: Go's logarithm of one is wrong on some processors. */
const SPECIAL = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  0,
  -0,
  2.3e-308,
  1.7e308,
  -3.5,
];

function special(seed: number): Sample[] {
  const random = seededRandom(seed + 5);
  return times(seed + 5, 60_000).map((time) => ({
    time,
    value:
      random.next() < 0.3
        ? SPECIAL[Math.floor(random.next() * SPECIAL.length)]!
        : random.next() * 10 - 5,
  }));
}

const BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, Number.POSITIVE_INFINITY];

function classicHistogram(target: Record<string, string>, seed: number): TestSeries[] {
  const random = seededRandom(seed + 6);
  const counts = BOUNDS.map(() => 0);
  const rows = times(seed + 6, 15_000).map((time) => {
    for (let i = 0; i < 10; i++) {
      const latency = random.next() ** 2 * 3;
      for (const [k, bound] of BOUNDS.entries()) if (latency <= bound) counts[k]!++;
    }
    return { time, counts: [...counts] };
  });
  return BOUNDS.map((bound, k) => ({
    labels: named('latency_seconds_bucket', {
      ...target,
      le: bound === Number.POSITIVE_INFINITY ? '+Inf' : String(bound),
    }),
    samples: rows.map(({ time, counts: own }) => ({ time, value: own[k]! })),
  }));
}

/** An exponential histogram that only grows, but for a reset now and then. */
function nativeHistogram(seed: number): Sample[] {
  const random = seededRandom(seed + 7);
  let positive = new Float64Array(8);
  let sum = 0;
  let zeroCount = 0;
  return times(seed + 7, 30_000).map((time) => {
    if (random.next() < 0.004) [positive, sum, zeroCount] = [new Float64Array(8), 0, 0];
    for (let i = 0; i < 12; i++) {
      const bucket = Math.floor(random.next() * 9) - 1;
      if (bucket < 0) zeroCount++;
      else positive[bucket]!++;
      sum += random.next();
    }
    const count = positive.reduce((total, own) => total + own, zeroCount);
    return {
      time,
      value: {
        counterReset: CounterReset.Unknown,
        schema: 1,
        zeroThreshold: 0.001,
        zeroCount,
        count,
        sum,
        positiveSpans: [
          { offset: -3, length: 5 },
          { offset: 2, length: 3 },
        ],
        positiveBuckets: positive.slice(),
        negativeSpans: [],
        negativeBuckets: new Float64Array(),
        customValues: new Float64Array(),
      },
    };
  });
}
