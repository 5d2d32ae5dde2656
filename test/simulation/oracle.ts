import type { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import type { Queryable } from '#/storage/queryable.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { indexesIn, SCRAPE_MS } from './truth.ts';
import type { Replica, ScrapedSeries, Truth } from './truth.ts';

/** What all replicas together have scraped of a series. */
export interface KnownSeries extends ScrapedSeries {
  /** Whose each sample is. */
  readonly replicas: readonly Replica[];
  readonly indexes: ReadonlyMap<number, number>;
}

/** A single Prometheus that has all samples of all replicas. */
export class Oracle {
  /** By the key of their labels, which have no external ones. */
  readonly series: ReadonlyMap<string, KnownSeries>;

  constructor(truth: Truth) {
    const all = [...truth].flatMap(([replica, series]) =>
      series.map((one) => ({ replica, ...one })),
    );
    const groups = Map.groupBy(all, ({ labels }) => labels.key);
    this.series = new Map(Array.from(groups, ([key, parts]) => [key, joined(parts)]));
  }

  /** Whether the metric has no samples, at either end or in the middle, for longer than scrapes are apart. */
  hasGap(
    metric: string,
    { mint, maxt }: { readonly mint: number; readonly maxt: number },
    instance?: string,
  ): boolean {
    const known = [...this.series.values()].find(
      ({ labels }) => labels.get('__name__') === metric && labels.get('instance') === instance,
    );
    if (known === undefined) return true;
    const { from, to } = indexesIn(known, { mint, maxt: maxt + 1 });
    const times = [mint, ...known.times.slice(from, to), maxt];
    return times.some((time, i) => i > 0 && time - times[i - 1]! > 2 * SCRAPE_MS);
  }

  /** Its answers at `nowMs`, with the external label of all replicas. */
  queryable(nowMs: number): Queryable {
    const none = () => Promise.resolve({ names: [], warnings: [] });
    return {
      select: ({ matchers }) => {
        const series = [...this.series.values()].flatMap((known) => {
          const labels = withCluster(known.labels);
          if (!matchesAll(matchers, labels)) return [];
          const read = (mint: number, maxt: number, into: SampleBuffer) => {
            const { from, to } = indexesIn(known, { mint, maxt: Math.min(maxt, nowMs) + 1 });
            for (let i = from; i < to; i++) into.pushFloat(known.times[i]!, known.values[i]!);
          };
          return [{ labels, read }];
        });
        return Promise.resolve({ series, warnings: [] });
      },
      labelNames: none,
      labelValues: none,
    };
  }
}

export function withCluster(labels: Labels): Labels {
  return labels.with('cluster', 'x');
}

function joined(parts: readonly (ScrapedSeries & { readonly replica: Replica })[]): KnownSeries {
  const samples = parts
    .flatMap(({ times, values, replica }) =>
      times.map((time, i) => ({ time, value: values[i]!, replica })),
    )
    .sort((a, b) => a.time - b.time);
  return {
    labels: parts[0]!.labels,
    isOwn: parts[0]!.isOwn,
    times: samples.map(({ time }) => time),
    values: samples.map(({ value }) => value),
    replicas: samples.map(({ replica }) => replica),
    indexes: new Map(samples.map(({ time }, i) => [time, i])),
  };
}
