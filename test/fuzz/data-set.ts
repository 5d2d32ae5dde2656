import { join } from 'node:path';
import type { Disk } from '#/lib/disk.ts';
import { randomInteger, randomItem, seededRandom } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { CounterReset, CUSTOM_BUCKETS_SCHEMA } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { Labels } from '#/model/labels.ts';
import { staleNaN } from '#/model/stale.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { Block } from '#/tsdb/block.ts';
import { blockMs, endMs, fillBlock, startMs } from '../differential/data-set.ts';

export { endMs, startMs } from '../differential/data-set.ts';

/** Names of metrics by what their samples are; the random queries pick from these. */
export const metrics = {
  floats: [
    'gauge',
    'counter_total',
    'gappy',
    'stale_gauge',
    'special',
    'small_integers',
    'tenths',
    'work_done_total',
    'card',
  ],
  buckets: ['latency_seconds_bucket', 'odd_bucket'],
  histograms: ['native', 'schemas', 'fractions', 'custom', 'gauge_histogram', 'broken_histogram'],
  mixed: ['mixed'],
  infos: ['target_info', 'build_info'],
} as const;

/**
 * Writes the data of the random queries as blocks into `directory`: that of the differential test,
 * and series that are odd on purpose. The same calls give the same bytes.
 */
export async function writeBlocks(disk: Disk, directory: string): Promise<Block[]> {
  const random = seededRandom(11);
  const blocks: Block[] = [];
  for (let start = startMs; start < endMs; start += blockMs) {
    const builder = new BlockBuilder();
    fillBlock(builder, start, start + blockMs);
    for (const { labels, fill } of oddSeries()) {
      fill(builder.samples(Labels.fromObject(labels)), { start, end: start + blockMs });
    }
    const ulid = newUlid(start + blockMs, random);
    await builder.write(disk, directory, { ulid, minTime: start, maxTime: start + blockMs });
    blocks.push(await Block.open(disk, join(directory, ulid)));
  }
  return blocks;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

interface OddSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly fill: (into: SampleBuffer, span: Span) => void;
}

const targets = ['a', 'b', 'c'].flatMap((instance) =>
  ['x', 'y'].map((zone) => ({ instance, zone })),
);

function oddSeries(): OddSeries[] {
  return [
    ...targets.flatMap((target, i) => [
      series('small_integers', target, i, (random) => randomInteger(random, -2, 3)),
      series('tenths', target, i + 10, (random) => randomInteger(random, -20, 20) / 10),
      series('schemas', target, i + 20, exponential((i % 4) - 1)),
      series('fractions', target, i + 30, fractional(i)),
      series('custom', target, i + 40, custom(i)),
      series('gauge_histogram', target, i + 50, shrinking(i)),
      series('broken_histogram', target, i + 60, broken(i)),
      series('mixed', target, i + 70, (random, k) =>
        random.next() < 0.5 ? random.next() : exponential(0)(random, k),
      ),
      ...['0.1', '0.2', '1', '1.0', 'x', ...(i % 2 === 0 ? ['+Inf'] : [])].map((le, k) =>
        series('odd_bucket', { ...target, le }, i + 80 + k, (random) =>
          randomInteger(random, 0, 30),
        ),
      ),
      ...counterOfJob(target, i),
    ]),
    ...Array.from({ length: 150 }, (_, i) =>
      series('card', { n: String(i), group: `g${i % 7}` }, i + 200, (random) =>
        Math.floor(random.next() * 100),
      ),
    ),
  ];
}

type Value = number | FloatHistogram;

/** A sample about every minute; `next` gives the values in time order, from the first block on. */
function series(
  name: string,
  labels: Readonly<Record<string, string>>,
  seed: number,
  next: (random: Random, index: number) => Value,
): OddSeries {
  return {
    labels: { __name__: name, ...labels },
    fill(into, { start, end }) {
      const random = seededRandom(1000 + seed);
      const phase = randomInteger(random, 0, 59_999);
      for (let k = 0, time = startMs + phase; time < end; k++, time += 60_000) {
        const value = next(random, k);
        const isStale = random.next() < 0.01;
        if (time < start || random.next() < 0.02) continue;
        if (typeof value === 'number') into.pushFloat(time, isStale ? staleNaN() : value);
        else into.pushHistogram(time, isStale ? { ...value, sum: staleNaN() } : value);
      }
    },
  };
}

/** With the labels that info metrics are found by, and those info metrics. */
function counterOfJob(target: { instance: string; zone: string }, i: number): OddSeries[] {
  const labels = { instance: target.instance, job: target.zone };
  let total = 0;
  return [
    series('work_done_total', { ...labels, path: `/${i}` }, i + 90, (random, k) => {
      total = k === 0 || random.next() < 0.02 ? 0 : total + randomInteger(random, 0, 9);
      return total;
    }),
    series('target_info', { ...labels, version: `v${i % 3}`, zone: target.zone }, i + 100, () => 1),
    series('build_info', { ...labels, revision: `r${i}` }, i + 110, () => 1),
  ];
}

const noBuckets = { positiveSpans: [], negativeSpans: [], customValues: new Float64Array() };

/** Whole counts on both sides of zero, with gaps between the buckets; a reset now and then. */
function exponential(schema: number) {
  let grown = new Float64Array(9);
  return (random: Random, k: number): FloatHistogram => {
    if (k === 0 || random.next() < 0.02) grown = new Float64Array(9);
    for (let i = 0; i < 6; i++) grown[randomInteger(random, 0, 8)]!++;
    return {
      counterReset: CounterReset.Unknown,
      schema,
      zeroThreshold: 0.001,
      zeroCount: grown[0]!,
      count: grown.reduce((sum, count) => sum + count),
      sum: grown[1]! * 0.5 - grown[7]!,
      positiveSpans: [
        { offset: -2, length: 3 },
        { offset: 3, length: 2 },
      ],
      positiveBuckets: grown.slice(1, 6),
      negativeSpans: [{ offset: 1, length: 3 }],
      negativeBuckets: grown.slice(6, 9),
      customValues: new Float64Array(),
    };
  };
}

/** Counts that are no whole numbers, and zero buckets of different widths. */
function fractional(series: number) {
  return (random: Random, k: number): FloatHistogram => {
    const positiveBuckets = Float64Array.from({ length: 4 }, () => k + random.next());
    const zeroCount = k / 2;
    return {
      ...noBuckets,
      counterReset: CounterReset.Unknown,
      schema: 2,
      zeroThreshold: randomItem(random, [0.001, 0.01, 0.5]) * (series + 1),
      zeroCount,
      count: positiveBuckets.reduce((sum, count) => sum + count, zeroCount),
      sum: k * 1.5,
      positiveSpans: [{ offset: 4, length: 4 }],
      positiveBuckets,
      negativeBuckets: new Float64Array(),
    };
  };
}

/** Custom bounds, of which some series have others, and one changes its own. */
function custom(series: number) {
  const bounds = [0.1, 0.5, 1, 2.5, 5];
  let counts = new Float64Array(6);
  return (random: Random, k: number): FloatHistogram => {
    if (k === 0 || random.next() < 0.02) counts = new Float64Array(6);
    for (let i = 0; i < 5; i++) counts[randomInteger(random, 0, 5)]!++;
    const others = series === 1 || (series === 2 && k > 120);
    return {
      counterReset: CounterReset.Unknown,
      schema: CUSTOM_BUCKETS_SCHEMA,
      zeroThreshold: 0,
      zeroCount: 0,
      count: counts.reduce((sum, count) => sum + count),
      sum: counts[0]! * 0.05 + counts[5]! * 7,
      positiveSpans: [{ offset: 0, length: 6 }],
      positiveBuckets: counts.slice(),
      negativeSpans: [],
      negativeBuckets: new Float64Array(),
      customValues: Float64Array.from(others ? [0.1, 0.4, 1, 3, 5] : bounds),
    };
  };
}

function shrinking(series: number) {
  const next = exponential(series % 2);
  return (random: Random, k: number): FloatHistogram => ({
    ...next(random, k),
    counterReset: CounterReset.Gauge,
  });
}

/** Sums that are no numbers or infinite, and histograms of nothing. */
function broken(series: number) {
  const next = exponential(series % 3);
  return (random: Random, k: number): FloatHistogram => {
    const histogram = next(random, k);
    if (k % 40 === 7) {
      return {
        ...histogram,
        ...noBuckets,
        zeroCount: 0,
        count: 0,
        sum: 0,
        positiveBuckets: new Float64Array(),
        negativeBuckets: new Float64Array(),
      };
    }
    const sum = randomItem(random, [Number.NaN, Number.POSITIVE_INFINITY, histogram.sum]);
    return { ...histogram, sum };
  };
}
