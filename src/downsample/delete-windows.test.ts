import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CounterReset, formatHistogram } from '#/model/histogram.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { lanes, readAggregateChunk } from './aggregate-chunk.ts';
import type { Lane } from './aggregate-chunk.ts';
import { CounterTotal } from './counter.ts';
import { isWindowDeleted, withoutWindows } from './delete-windows.ts';
import { Downsampler } from './downsample.ts';

const STEP = 60_000;
const WINDOW = Resolution.FiveMinutes;

function downsampled(values: readonly number[]): TimedChunk[] {
  const samples = new SampleBuffer();
  for (const [i, value] of values.entries()) samples.pushFloat(i * STEP, value);
  return new Downsampler(Resolution.Raw, WINDOW).series(encodeSamples(samples));
}

function decoded(chunks: readonly TimedChunk[], lane: Lane): [time: number, value: number][] {
  return chunks.flatMap(({ data }) => {
    const part = readAggregateChunk(data)[lane];
    if (part === undefined) return [];
    const samples = new SampleBuffer();
    decodeChunk(part, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, samples);
    return Array.from(samples.times.subarray(0, samples.length), (time, i): [number, number] => [
      time,
      samples.values[i]!,
    ]);
  });
}

function without(chunks: readonly TimedChunk[], mint: number, maxt: number): TimedChunk[] {
  return chunks.flatMap((chunk) => withoutWindows(chunk, [{ mint, maxt }], WINDOW) ?? []);
}

/** The running total at the end of each window, over all chunks. */
function totals(chunks: readonly TimedChunk[]): [time: number, total: number][] {
  const counter = new CounterTotal();
  return decoded(chunks, 'counter').flatMap(([time, value]): [number, number][] =>
    counter.add(time, value) ? [[time, counter.total]] : [],
  );
}

test('a window goes exactly if all of its time is deleted', () => {
  const window = 2 * WINDOW - 1;
  assert.ok(isWindowDeleted(window, [{ mint: WINDOW, maxt: window }], WINDOW));
  assert.ok(!isWindowDeleted(window, [{ mint: WINDOW + 1, maxt: window }], WINDOW));
  assert.ok(!isWindowDeleted(window, [{ mint: WINDOW, maxt: window - 1 }], WINDOW));
  const halves = [
    { mint: WINDOW, maxt: window - 10 },
    { mint: window - 5, maxt: window },
  ];
  assert.ok(!isWindowDeleted(window, halves, WINDOW));
});

test('chunks without deleted windows stay as they are, those of nothing else go', () => {
  const [chunk] = downsampled(Array.from({ length: 50 }, (_, i) => i));
  assert.equal(withoutWindows(chunk!, [], WINDOW), chunk);
  assert.equal(withoutWindows(chunk!, [{ mint: 10, maxt: WINDOW - 2 }], WINDOW), chunk);
  assert.equal(withoutWindows(chunk!, [{ mint: 0, maxt: 50 * STEP }], WINDOW), undefined);
});

test('windows that stay keep their aggregates, and increases between them', () => {
  const values = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 10, maxLength: 1500 });
  const range = fc.tuple(fc.nat({ max: 1500 }), fc.nat({ max: 800 }));
  fc.assert(
    fc.property(values, range, (all, [from, length]) => {
      const chunks = downsampled(all);
      const [mint, maxt] = [from * STEP, (from + length) * STEP];
      const left = without(chunks, mint, maxt);
      const goes = (end: number) => isWindowDeleted(end, [{ mint, maxt }], WINDOW);
      for (const lane of lanes.filter((one) => one !== 'counter')) {
        const want = decoded(chunks, lane).filter(([time]) => !goes(time));
        assert.deepEqual(decoded(left, lane), want);
      }
      for (const { mint: first, maxt: last } of left) assert.ok(first <= last);
    }),
    { numRuns: 100 },
  );
});

test('windows of native histograms stay as they are, counters and gauges', () => {
  for (const counterReset of [CounterReset.Unknown, CounterReset.Gauge]) {
    const samples = new SampleBuffer();
    for (let i = 0; i < 600; i++) {
      samples.pushHistogram(i * STEP, {
        counterReset,
        schema: 0,
        zeroThreshold: 0.1,
        zeroCount: i,
        count: 3 * i,
        sum: i / 2,
        positiveSpans: [{ offset: 0, length: 1 }],
        positiveBuckets: Float64Array.of(2 * i),
        negativeSpans: [],
        negativeBuckets: new Float64Array(),
        customValues: new Float64Array(),
      });
    }
    const chunks = new Downsampler(Resolution.Raw, WINDOW).series(encodeSamples(samples));
    const deleted = { mint: 20 * STEP, maxt: 400 * STEP - 1 };
    const left = without(chunks, deleted.mint, deleted.maxt);
    const ends = decoded(left, 'count').map(([time]) => time);
    assert.equal(ends.length, 4 + 40);
    for (const lane of ['sum', 'counter'] as const) {
      const kept = histogramsOf(chunks, lane).filter(([time]) => ends.includes(time));
      assert.deepEqual(histogramsOf(left, lane), kept);
    }
  }
});

function histogramsOf(chunks: readonly TimedChunk[], lane: Lane): [time: number, text: string][] {
  return chunks.flatMap(({ data }) => {
    const samples = new SampleBuffer();
    decodeChunk(readAggregateChunk(data)[lane]!, -Infinity, Infinity, samples);
    return Array.from(samples.times.subarray(0, samples.length), (time, i): [number, string] => [
      time,
      formatHistogram(samples.histograms![i]!),
    ]);
  });
}

test('a counter rises over a hole as it did over the windows that are gone', () => {
  const step = fc.integer({ min: 1, max: 50 });
  const range = fc.tuple(fc.nat({ max: 1500 }), fc.nat({ max: 800 }));
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 1500 }), range, (steps, [from, n]) => {
      let value = 0;
      const chunks = downsampled(steps.map((rise) => (value += rise)));
      const left = without(chunks, from * STEP, (from + n) * STEP);
      const before = new Map(totals(chunks));
      for (const [time, total] of totals(left)) assert.equal(total, before.get(time));
    }),
    { numRuns: 100 },
  );
});
