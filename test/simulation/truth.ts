import { randomInteger } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const BLOCK_MS = 2 * HOUR_MS;
/** Two or three scrapes to a window of five minutes. */
export const SCRAPE_MS = 2 * MINUTE_MS;

/** A metric that nobody wants for long: rules of retention and deletions are about it. */
export const DOOMED = 'scratch';

export const REPLICAS = ['a', 'b'] as const;
export type Replica = (typeof REPLICAS)[number];

/** Everything that one replica will ever have scraped of one series. */
export interface ScrapedSeries {
  /** Without external labels. */
  readonly labels: Labels;
  readonly times: readonly number[];
  readonly values: readonly number[];
  /**
   * Only this replica has it: no choice between replicas ever leaves out a sample, so that it can
   * be checked to the last one at every resolution.
   */
  readonly isOwn: boolean;
}

/** What both replicas scrape, from `startMs` on: counters with resets, gauges, and gaps of either. */
export type Truth = ReadonlyMap<Replica, readonly ScrapedSeries[]>;

/** What there is to be scraped: the value of each scrape, were none left out. */
interface Target {
  readonly labels: Labels;
  readonly values: readonly number[];
  readonly isOwn: boolean;
}

export function drawTruth(random: Random, startMs: number, durationMs: number): Truth {
  const scrapes = Math.ceil(durationMs / SCRAPE_MS);
  const shared: Target[] = [
    { ...counter(random, scrapes, { __name__: 'requests_total' }), isOwn: false },
    { ...gauge(random, scrapes, { __name__: 'temperature' }), isOwn: false },
    { ...constant(scrapes, { __name__: 'up' }), isOwn: false },
  ];
  return new Map(
    REPLICAS.map((replica, i) => {
      const own: Target[] = [
        { ...counter(random, scrapes, { __name__: 'own_total', instance: replica }), isOwn: true },
        { ...gauge(random, scrapes, { __name__: 'own_level', instance: replica }), isOwn: true },
        { ...gauge(random, scrapes, { __name__: DOOMED, instance: replica }), isOwn: true },
      ];
      const gaps = Array.from({ length: randomInteger(random, 0, 4) }, () => {
        const from = random.next() * durationMs;
        return { from, to: from + random.next() * 3 * HOUR_MS };
      });
      const kept = Array.from({ length: scrapes }, (_, scrape) => scrape).filter((scrape) => {
        return !gaps.some(({ from, to }) => scrape * SCRAPE_MS >= from && scrape * SCRAPE_MS < to);
      });
      // Replicas never scrape at the same millisecond, so every sample can be told from any other.
      const times = kept.map((scrape) => startMs + i * 7000 + scrape * SCRAPE_MS);
      const series = [...shared, ...own].map(({ values, ...target }) => {
        return { ...target, times, values: kept.map((scrape) => values[scrape]!) };
      });
      return [replica, series] as const;
    }),
  );
}

type Names = Record<string, string>;

/** It begins anew every eight hours or so. */
function counter(random: Random, scrapes: number, names: Names): Omit<Target, 'isOwn'> {
  let value = 0;
  const values = Array.from({ length: scrapes }, () => {
    value = random.next() < 0.004 ? 0 : value + randomInteger(random, 0, MOST_REQUESTS);
    return value;
  });
  return { labels: labelsOf(names), values };
}

/** How much a counter grows at most from one scrape to the next. */
export const MOST_REQUESTS = 8;

/** Values whose sums are exact in binary. */
function gauge(random: Random, scrapes: number, names: Names): Omit<Target, 'isOwn'> {
  const values = Array.from({ length: scrapes }, () => Math.round(random.next() * 1000) / 8);
  return { labels: labelsOf(names), values };
}

function constant(scrapes: number, names: Names): Omit<Target, 'isOwn'> {
  return { labels: labelsOf(names), values: Array.from({ length: scrapes }, () => 1) };
}

function labelsOf(names: Names): Labels {
  return Labels.fromObject({ job: 'web', ...names });
}

/** The indexes `[from, to)` of the samples in `[mint, maxt)`. */
export function indexesIn(
  { times }: Pick<ScrapedSeries, 'times'>,
  { mint, maxt }: { readonly mint: number; readonly maxt: number },
): { readonly from: number; readonly to: number } {
  return { from: indexOf(times, mint), to: indexOf(times, maxt) };
}

/** Of the first that is not before `time`. */
function indexOf(times: readonly number[], time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
