import { randomInteger } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const BLOCK_MS = 2 * HOUR_MS;
export const SCRAPE_MS = 5 * MINUTE_MS;

export const REPLICAS = ['a', 'b'] as const;
export type Replica = (typeof REPLICAS)[number];

/** Everything that one replica will ever have scraped of one series. */
export interface ScrapedSeries {
  /** Without external labels. */
  readonly labels: Labels;
  readonly times: readonly number[];
  readonly values: readonly number[];
}

/** What both replicas scrape, from `startMs` on: counters with resets, gauges, and gaps of either. */
export type Truth = ReadonlyMap<Replica, readonly ScrapedSeries[]>;

export function drawTruth(random: Random, startMs: number, durationMs: number): Truth {
  return new Map(
    REPLICAS.map((replica, i) => {
      // Replicas never scrape at the same millisecond, so every sample can be told from any other.
      const times: number[] = [];
      const gaps = Array.from({ length: randomInteger(random, 0, 4) }, () => {
        const from = startMs + random.next() * durationMs;
        return { from, to: from + random.next() * 3 * HOUR_MS };
      });
      for (let time = startMs + i * 7000; time < startMs + durationMs; time += SCRAPE_MS) {
        if (!gaps.some(({ from, to }) => time >= from && time < to)) times.push(time);
      }
      return [replica, [counter(random, times), gauge(random, times), constant(times)]] as const;
    }),
  );
}

function counter(random: Random, times: readonly number[]): ScrapedSeries {
  let value = 0;
  const values = times.map(() => {
    value = random.next() < 0.01 ? 0 : value + randomInteger(random, 0, 20);
    return value;
  });
  return { labels: Labels.fromObject({ __name__: 'requests_total', job: 'web' }), times, values };
}

function gauge(random: Random, times: readonly number[]): ScrapedSeries {
  const values = times.map(() => Math.round(random.next() * 1000) / 8);
  return { labels: Labels.fromObject({ __name__: 'temperature', job: 'web' }), times, values };
}

function constant(times: readonly number[]): ScrapedSeries {
  const values = times.map(() => 1);
  return { labels: Labels.fromObject({ __name__: 'up', job: 'web' }), times, values };
}

/** Adds the samples of `[mint, maxt)` to `into`: time to value. */
export function addSamples(
  { times, values }: ScrapedSeries,
  range: { readonly mint: number; readonly maxt: number },
  into: Map<number, number>,
): void {
  for (const [i, time] of times.entries()) {
    if (time >= range.mint && time < range.maxt) into.set(time, values[i]!);
  }
}
