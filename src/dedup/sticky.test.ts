import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { staleNaN } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { mergeReplicas } from './dedup.ts';
import type { DedupAlgorithm } from './dedup.ts';
import { firstAfter, generateScenario, rate, withoutMarkers } from './testing/generate.ts';
import type { Scenario } from './testing/generate.ts';

const SEEDS = 400;
const scenarios = Array.from({ length: SEEDS }, (_, seed) => generateScenario(seed));
const counters = scenarios.filter(({ kind }) => kind !== 'gauge');

describe('sticky deduplication of generated replicas', () => {
  test('leaves no gap that a replica could fill; penalty does', () => {
    const left = (algorithm: DedupAlgorithm) =>
      scenarios.map((scenario) => fillableGaps(scenario, merge(algorithm, scenario, false)));
    assert.deepEqual(seedsWithFaults(left('sticky')), []);
    assert.ok(seedsWithFaults(left('penalty')).length > SEEDS / 4);
  });

  test('lets a counter fall only where a replica fell, and never more often than it was reset', () => {
    for (const [i, scenario] of counters.entries()) {
      const falls = fallsOf(withoutMarkers(merge('sticky', scenario, true)));
      for (const fall of falls) assert.ok(isSeen(scenario, fall), `counter ${i} at ${fall.to}`);
      assert.ok(falls.length <= scenario.resets.length, `counter ${i}: ${falls.length} falls`);
    }
  });

  test('gives rates that a replica had, in every window that one replica fully covers', () => {
    const sticky = counters.map((scenario) => strayRates(scenario, 'sticky'));
    const penalty = counters.map((scenario) => strayRates(scenario, 'penalty'));
    assert.ok(sum(sticky, 'windows') > 20_000);
    assert.deepEqual(seedsWithFaults(sticky.map(({ strays }) => strays)), []);
    assert.ok(sum(penalty, 'strays') > 100, `penalty: ${sum(penalty, 'strays')} strays`);
  });

  test('keeps values that a replica had at that time, unless the reader counts resets', () => {
    for (const scenario of scenarios) {
      const merged = merge('sticky', scenario, false);
      for (let i = 0; i < merged.length; i++) assert.ok(holds(scenario.replicas, merged, i));
    }
  });

  test('twice is once', () => {
    for (const scenario of scenarios) {
      for (const isCounter of [false, true]) {
        const once = merge('sticky', scenario, isCounter);
        assert.deepEqual(print(mergeBuffers('sticky', [once, once], isCounter)), print(once));
      }
    }
  });

  test('does not depend on the order of the replicas', () => {
    for (const { replicas } of scenarios) {
      const turned = [...replicas.slice(1), replicas[0]!];
      const there = mergeBuffers('sticky', replicas, true);
      const back = mergeBuffers('sticky', turned, true);
      assert.deepEqual(print(there), print(back));
    }
  });
});

describe('sticky deduplication', () => {
  test('keeps a series alive when only one replica marks its end', () => {
    const merged = sticky(
      false,
      [
        [0, 1],
        [15, 2],
        [30, 'stale'],
      ],
      [
        [7, 1],
        [24, 2],
        [39, 3],
        [54, 4],
      ],
    );
    assert.deepEqual(print(merged), ['0 1', '15 2', '24 2', '39 3', '54 4']);
  });

  test('ends a series once when every replica marks its end', () => {
    const merged = sticky(
      false,
      [
        [0, 1],
        [15, 2],
        [30, 'stale'],
      ],
      [
        [7, 1],
        [22, 'stale'],
      ],
    );
    assert.deepEqual(print(merged), ['0 1', '15 2', '22 stale']);
  });

  test('takes a small step back between replicas for clocks apart, not for a reset', () => {
    const merged = sticky(
      true,
      [
        [0, 1000],
        [15, 1015],
        [30, 1030],
      ],
      [
        [7, 985],
        [22, 1000],
        [37, 1015],
        [52, 1030],
        [67, 1045],
      ],
    );
    assert.deepEqual(print(merged), ['0 1000', '15 1015', '30 1030', '52 1052', '67 1067']);
  });

  test('goes on by the growth of the other replica when totals count from different beginnings', () => {
    const merged = sticky(
      true,
      [
        [0, 100],
        [15, 115],
        [30, 130],
      ],
      [
        [20, 900_020],
        [35, 900_035],
        [50, 900_050],
      ],
    );
    assert.deepEqual(print(merged), ['0 100', '15 115', '30 130', '50 150']);
  });

  test('shows a reset that happened while it changed replicas', () => {
    const merged = sticky(
      true,
      [
        [0, 100],
        [15, 115],
      ],
      [
        [10, 110],
        [25, 3],
        [40, 18],
      ],
    );
    assert.deepEqual(print(merged), ['0 100', '15 115', '25 3', '40 18']);
  });

  test('prefers a replica with a much shorter interval', () => {
    const slow: [number, number][] = [0, 60, 120, 180].map((time) => [time, time]);
    const fine: [number, number][] = [65, 80, 95, 110, 125, 140].map((time) => [time, time]);
    const merged = sticky(false, slow, fine);
    assert.deepEqual(
      [...merged.times.subarray(0, merged.length)],
      [0, 60, 80, 95, 110, 125, 140, 180],
    );
  });
});

function merge(algorithm: DedupAlgorithm, scenario: Scenario, isCounter: boolean): SampleBuffer {
  return mergeBuffers(algorithm, scenario.replicas, isCounter);
}

function mergeBuffers(
  algorithm: DedupAlgorithm,
  replicas: readonly SampleBuffer[],
  isCounter: boolean,
): SampleBuffer {
  const into = new SampleBuffer();
  mergeReplicas(algorithm, replicas, { isCounter }, into);
  return into;
}

function sticky(isCounter: boolean, ...replicas: (readonly [number, number | 'stale'])[][]) {
  const buffers = replicas.map((samples) => {
    const into = new SampleBuffer();
    for (const [time, value] of samples) {
      if (value === 'stale') into.pushFloat(time, staleNaN());
      else into.pushFloat(time, value);
    }
    return into;
  });
  return mergeBuffers('sticky', buffers, isCounter);
}

function print(samples: SampleBuffer): string[] {
  return Array.from({ length: samples.length }, (_, i) => {
    return `${samples.times[i]} ${samples.isStaleAt(i) ? 'stale' : samples.values[i]}`;
  });
}

function seedsWithFaults(faults: readonly number[]): number[] {
  return faults.flatMap((count, seed) => (count > 0 ? [seed] : []));
}

function sum<K extends string>(rows: readonly Record<K, number>[], key: K): number {
  return rows.reduce((total, row) => total + row[key], 0);
}

/** Distances over 1.5 scrape intervals in which some replica has a sample. */
function fillableGaps({ replicas, longestInterval, jitterMs }: Scenario, output: SampleBuffer) {
  const merged = withoutMarkers(output);
  const sources = replicas.map(withoutMarkers);
  const limit = 1.5 * (longestInterval + jitterMs);
  let gaps = 0;
  for (let i = 1; i < merged.length; i++) {
    const from = merged.times[i - 1]!;
    const to = merged.times[i]!;
    if (to - from <= limit) continue;
    if (sources.some((source) => firstAfter(source, from) < firstAfter(source, to - 1))) gaps++;
  }
  return gaps;
}

interface Fall {
  readonly from: number;
  readonly to: number;
}

function fallsOf({ times, values, length }: SampleBuffer): Fall[] {
  const falls: Fall[] = [];
  for (let i = 1; i < length; i++) {
    if (values[i]! < values[i - 1]!) falls.push({ from: times[i - 1]!, to: times[i]! });
  }
  return falls;
}

/** Whether a replica fell somewhere in the time over which the merged series fell. */
function isSeen({ replicas }: Scenario, fall: Fall): boolean {
  return replicas.some((replica) =>
    fallsOf(withoutMarkers(replica)).some(({ from, to }) => from < fall.to && to > fall.from),
  );
}

function holds(replicas: readonly SampleBuffer[], merged: SampleBuffer, i: number): boolean {
  return replicas.some((replica) => {
    const at = firstAfter(replica, merged.times[i]!) - 1;
    return (
      at >= 0 &&
      replica.times[at] === merged.times[i] &&
      Object.is(replica.values[at], merged.values[i])
    );
  });
}

/**
 * Windows that one replica fully covers, and those in which the merged rate lies outside the rates
 * of the replicas. Inside one replica's samples the bounds are exact. Where the window has a switch,
 * first and last sample may be of different replicas, so a burst at an edge may count that only one
 * of them saw: the bounds are wider by the largest growth within two scrapes and the clocks' skew.
 */
function strayRates(scenario: Scenario, algorithm: DedupAlgorithm) {
  const merged = withoutMarkers(merge(algorithm, scenario, true));
  const sources = scenario.replicas.map(withoutMarkers);
  const { longestInterval, skewMs } = scenario;
  let windows = 0;
  let strays = 0;
  for (const size of [4 * longestInterval, 20 * longestInterval]) {
    const start = merged.times[0]!;
    const end = merged.times[merged.length - 1]!;
    for (let from = start; from + size <= end; from += size / 3) {
      const to = from + size;
      const covering = sources.filter((source) => covers(source, from, to, longestInterval));
      if (covering.length === 0) continue;
      windows++;
      const followed = sources.filter((source) => isOnly(merged, source, from, to));
      const bounds = [...covering, ...followed].map((source) => rate(source, from, to)!);
      const slack =
        followed.length > 0 ? 0 : edgeGrowth(scenario, from, to, 2 * longestInterval + skewMs);
      const margin = (2 * slack) / (size / 1000) + 1e-9 * Math.max(...bounds);
      const got = rate(merged, from, to);
      if (got === undefined) strays++;
      else if (got < Math.min(...bounds) - margin || got > Math.max(...bounds) + margin) strays++;
    }
  }
  return { windows, strays };
}

function covers(source: SampleBuffer, from: number, to: number, interval: number): boolean {
  const first = firstAfter(source, from);
  const end = firstAfter(source, to);
  if (end - first < 2) return false;
  if (source.times[first]! - from > 1.05 * interval) return false;
  if (to - source.times[end - 1]! > 1.05 * interval) return false;
  for (let i = first + 1; i < end; i++) {
    if (source.times[i]! - source.times[i - 1]! > 1.5 * interval) return false;
  }
  return true;
}

/** Whether the merged samples of the window are exactly those of `source`. */
function isOnly(merged: SampleBuffer, source: SampleBuffer, from: number, to: number): boolean {
  const a = firstAfter(merged, from);
  const b = firstAfter(source, from);
  const count = firstAfter(merged, to) - a;
  if (count !== firstAfter(source, to) - b) return false;
  for (let i = 0; i < count; i++) if (merged.times[a + i] !== source.times[b + i]) return false;
  return true;
}

/** The most that the counter grew within `span` anywhere in the window. */
function edgeGrowth({ growth }: Scenario, from: number, to: number, span: number): number {
  let most = 0;
  for (let at = from - span; at < to; at += 1000) most = Math.max(most, growth(at, at + span));
  return most;
}

describe('sticky deduplication of native histograms', () => {
  const first = [histogramAt(0, 100), histogramAt(15, 110), histogramAt(30, 120)];

  test('tells of a switch that nothing was reset, though the counts step back', () => {
    const second = [histogramAt(22, 105), histogramAt(37, 115), histogramAt(52, 118)];
    const merged = mergeHistograms(true, first, second);
    assert.deepEqual(hints(merged), [
      '0 100 Unknown',
      '15 110 Unknown',
      '30 120 Unknown',
      '52 118 No',
    ]);
  });

  test('tells of a reset that the other replica shows', () => {
    const second = [histogramAt(29, 119), histogramAt(45, 3), histogramAt(60, 9)];
    const merged = mergeHistograms(true, first, second);
    assert.deepEqual(hints(merged).slice(3), ['45 3 Yes', '60 9 Unknown']);
  });

  test('leaves gauges, other readers and a change to floats alone', () => {
    const gauges = [histogramAt(45, 3, CounterReset.Gauge)];
    assert.equal(hints(mergeHistograms(true, first, gauges)).at(-1), '45 3 Gauge');
    const second = [histogramAt(29, 119), histogramAt(45, 110)];
    assert.equal(hints(mergeHistograms(false, first, second)).at(-1), '45 110 Unknown');
    const floats = new SampleBuffer();
    floats.pushFloat(45, 1);
    floats.pushFloat(60, 2);
    const mixed = mergeBuffers('sticky', [bufferOf(first), floats], true);
    assert.deepEqual(hints(mixed).slice(3), ['45 1', '60 2']);
  });
});

interface HistogramSample {
  readonly time: number;
  readonly histogram: FloatHistogram;
}

function histogramAt(
  time: number,
  count: number,
  counterReset: CounterReset = CounterReset.Unknown,
): HistogramSample {
  const empty = { spans: [], buckets: new Float64Array(0) };
  const histogram: FloatHistogram = {
    counterReset,
    schema: 0,
    zeroThreshold: 0,
    zeroCount: count,
    count,
    sum: count,
    positiveSpans: empty.spans,
    positiveBuckets: empty.buckets,
    negativeSpans: empty.spans,
    negativeBuckets: empty.buckets,
    customValues: empty.buckets,
  };
  return { time, histogram };
}

function bufferOf(samples: readonly HistogramSample[]): SampleBuffer {
  const buffer = new SampleBuffer();
  for (const { time, histogram } of samples) buffer.pushHistogram(time, histogram);
  return buffer;
}

function mergeHistograms(isCounter: boolean, ...replicas: HistogramSample[][]): SampleBuffer {
  return mergeBuffers('sticky', replicas.map(bufferOf), isCounter);
}

/** A row a sample: time, count and hint of a histogram, or time and value of a float. */
function hints(samples: SampleBuffer): string[] {
  const names = ['Unknown', 'Yes', 'No', 'Gauge'];
  return Array.from({ length: samples.length }, (_, i) => {
    const histogram = samples.histograms?.[i];
    if (histogram === undefined) return `${samples.times[i]} ${samples.values[i]}`;
    return `${samples.times[i]} ${histogram.count} ${names[histogram.counterReset]}`;
  });
}
