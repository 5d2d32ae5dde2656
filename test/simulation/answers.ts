import type { Labels } from '#/model/labels.ts';
import type { MatrixSeries, QueryValue } from '#/promql/value.ts';

/** Decides about the points of an answer. */
export interface Rules {
  /** Nothing need be right about the point. */
  readonly isExcused: (labels: Labels, timeMs: number) => boolean;
  readonly isClose: (got: number, want: number) => boolean;
}

/** The first point in which an answer is not what it should be. */
export function differenceOf(got: QueryValue, want: QueryValue, rules: Rules): string | undefined {
  const found = pointsOf(got);
  const wanted = pointsOf(want);
  for (const [key, { labels, points }] of new Map([...wanted, ...found])) {
    const left = found.get(key)?.points ?? new Map<number, number>();
    const right = wanted.get(key)?.points ?? new Map<number, number>();
    for (const time of new Set([...points.keys(), ...left.keys()])) {
      const [a, b] = [left.get(time), right.get(time)];
      if (a === b || rules.isExcused(labels, time)) continue;
      if (a !== undefined && b !== undefined && rules.isClose(a, b)) continue;
      return `${labels.toMetricString()} is ${a} instead of ${b} at ${time}`;
    }
  }
  return undefined;
}

interface Points {
  readonly labels: Labels;
  readonly points: ReadonlyMap<number, number>;
}

function pointsOf(value: QueryValue): Map<string, Points> {
  if (value.kind !== 'matrix') throw new Error(`a range query gives a matrix, not a ${value.kind}`);
  return new Map(value.series.map((series) => [series.labels.key, pointsOfSeries(series)]));
}

function pointsOfSeries({ labels, times, values }: MatrixSeries): Points {
  return { labels, points: new Map(Array.from(times, (time, i) => [time, values[i]!])) };
}
