import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadInputError, CorruptionError } from '#/lib/errors.ts';
import {
  addHistograms,
  compactHistogram,
  CounterReset,
  equalHistograms,
  reduceResolution,
} from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { staleNaN } from '#/model/stale.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { readAggregateChunk } from './aggregate-chunk.ts';
import type { Lane } from './aggregate-chunk.ts';
import { CounterTotal } from './counter.ts';
import { Downsampler } from './downsample.ts';

const { Raw, FiveMinutes, OneHour } = Resolution;

interface Recorded {
  readonly [series: string]: { readonly [resolution in 'raw' | '5m' | '1h']: readonly string[] };
}

const recorded = JSON.parse(
  await readFile(new URL('./testdata/downsampled.json', import.meta.url), 'utf8'),
) as Recorded;

function parse(line: string): TimedChunk {
  const [encoding, mint, maxt, data = ''] = line.split(' ');
  return {
    encoding: Number(encoding),
    mint: Number(mint),
    maxt: Number(maxt),
    data: Buffer.from(data, 'base64'),
  };
}

function print({ encoding, mint, maxt, data }: TimedChunk): string {
  return `${encoding} ${mint} ${maxt} ${Buffer.from(data).toString('base64')}`;
}

for (const [series, chunks] of Object.entries(recorded)) {
  test(`${series}: 5m and 1h are Thanos's by the byte`, () => {
    const fine = new Downsampler(Raw, FiveMinutes).series(chunks.raw.map(parse));
    assert.deepEqual(fine.map(print), chunks['5m']);
    const coarse = new Downsampler(FiveMinutes, OneHour).series(fine);
    assert.deepEqual(coarse.map(print), chunks['1h']);
  });
}

function floats(samples: readonly (readonly [number, number])[]): TimedChunk[] {
  const buffer = new SampleBuffer();
  for (const [time, value] of samples) buffer.pushFloat(time, value);
  return encodeSamples(buffer);
}

function lane(chunks: readonly TimedChunk[], name: Lane): SampleBuffer {
  const buffer = new SampleBuffer();
  for (const { data } of chunks) {
    const part = readAggregateChunk(data)[name];
    if (part !== undefined) decodeChunk(part, MIN_TIME, MAX_TIME, buffer);
  }
  return buffer;
}

const values = (buffer: SampleBuffer) => [...buffer.values.subarray(0, buffer.length)];

/** A counter at irregular times, with resets and gaps. */
const counters = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 400_000 }), fc.integer({ min: -3, max: 100 })), {
    minLength: 1,
    maxLength: 400,
  })
  .map((steps) => {
    let time = 1_700_000_000_000;
    let value = 0;
    return steps.map(([distance, increase]): [number, number] => {
      time += distance;
      value = increase < 0 ? 0 : value + increase;
      return [time, value];
    });
  });

test('no sample is lost or counted twice: counts and sums add up at both resolutions', () => {
  fc.assert(
    fc.property(counters, (samples) => {
      const fine = new Downsampler(Raw, FiveMinutes).series(floats(samples));
      const coarse = new Downsampler(FiveMinutes, OneHour).series(fine);
      const total = samples.reduce((sum, [, value]) => sum + value, 0);
      for (const chunks of [fine, coarse]) {
        const add = (name: Lane) => values(lane(chunks, name)).reduce((a, b) => a + b, 0);
        assert.equal(add('count'), samples.length);
        assert.equal(add('sum'), total);
        assert.equal(
          Math.max(...values(lane(chunks, 'max'))),
          Math.max(...samples.map(([, v]) => v)),
        );
        assert.equal(
          Math.min(...values(lane(chunks, 'min'))),
          Math.min(...samples.map(([, v]) => v)),
        );
      }
    }),
  );
});

test("a counter's total at both resolutions is that of the raw samples, across chunks too", () => {
  fc.assert(
    fc.property(counters, (samples) => {
      const raw = new CounterTotal();
      for (const [time, value] of samples) raw.add(time, value);
      const fine = new Downsampler(Raw, FiveMinutes).series(floats(samples));
      const coarse = new Downsampler(FiveMinutes, OneHour).series(fine);
      for (const chunks of [fine, coarse]) {
        const { times, values: read, length } = lane(chunks, 'counter');
        const total = new CounterTotal();
        for (let i = 0; i < length; i++) total.add(times[i]!, read[i]!);
        assert.equal(total.total, raw.total);
        assert.equal(total.lastValue, raw.lastValue);
      }
    }),
  );
});

function histogram(over: Partial<FloatHistogram>): FloatHistogram {
  return {
    counterReset: CounterReset.Unknown,
    schema: 0,
    zeroThreshold: 0.001,
    zeroCount: 0,
    count: 0,
    sum: 0,
    positiveSpans: [{ offset: 0, length: 1 }],
    positiveBuckets: Float64Array.of(0),
    negativeSpans: [],
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
    ...over,
  };
}

test('chunks end where histograms cannot be added to each other, and no window is lost', () => {
  const buffer = new SampleBuffer();
  const custom = { schema: -53, zeroThreshold: 0 };
  const kinds: Partial<FloatHistogram>[] = [
    {},
    { zeroThreshold: 0.5 },
    { counterReset: CounterReset.Gauge },
    { ...custom, customValues: Float64Array.of(1, 2) },
    { ...custom, customValues: Float64Array.of(1, 3) },
  ];
  for (let i = 0; i < 100; i++) {
    const count = i + 1;
    const positiveBuckets = Float64Array.of(count);
    buffer.pushHistogram(
      i * 60_000,
      histogram({ count, positiveBuckets, ...kinds[Math.floor(i / 20)] }),
    );
  }
  const fine = new Downsampler(Raw, FiveMinutes).series(encodeSamples(buffer));
  const coarse = new Downsampler(FiveMinutes, OneHour).series(fine);
  for (const chunks of [fine, coarse]) {
    assert.equal(chunks.length, kinds.length);
    assert.equal(
      values(lane(chunks, 'count')).reduce((a, b) => a + b, 0),
      100,
    );
    assert.equal(lane(chunks, 'counter').length, lane(chunks, 'count').length);
  }
});

const layouts = fc.record({
  schema: fc.integer({ min: 0, max: 2 }),
  offset: fc.integer({ min: -3, max: 3 }),
  lengths: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
});

/** Gauges whose buckets change from sample to sample. */
const gauges = fc
  .array(fc.tuple(layouts, fc.array(fc.nat(9), { minLength: 6, maxLength: 6 })), {
    minLength: 1,
    maxLength: 60,
  })
  .map((all) =>
    all.map(([{ schema, offset, lengths }, counts]) => {
      const [first, second] = lengths;
      const positiveBuckets = Float64Array.from(counts.slice(0, first + second));
      const positiveSpans = [
        { offset, length: first },
        { offset: 2, length: second },
      ];
      const count = positiveBuckets.reduce((a, b) => a + b, 0);
      const gauge = { counterReset: CounterReset.Gauge, sum: count / 2 };
      return histogram({ ...gauge, schema, count, positiveSpans, positiveBuckets });
    }),
  );

test('histograms whose buckets change add up, window by window, as histograms do', () => {
  fc.assert(
    fc.property(gauges, (all) => {
      const buffer = new SampleBuffer();
      for (const [i, one] of all.entries()) buffer.pushHistogram(i * 60_000, one);
      const schema = Math.min(...all.map((one) => one.schema));
      const want: FloatHistogram[] = [];
      for (const [i, one] of all.entries()) {
        const reduced = reduceResolution(one, schema);
        const sum = i % 5 === 0 ? undefined : want.pop();
        want.push(sum === undefined ? reduced : addHistograms(sum, reduced)!.histogram);
      }
      const chunks = new Downsampler(Raw, FiveMinutes).series(encodeSamples(buffer));
      const { histograms: got = [], length } = lane(chunks, 'sum');
      assert.equal(length, want.length);
      for (const [i, one] of want.entries()) {
        assert.ok(equalHistograms(compactHistogram(got[i]!), compactHistogram(one)), `window ${i}`);
      }
      // The counter lane of a gauge ends with its last value.
      const { histograms: counters = [] } = lane(chunks, 'counter');
      const last = compactHistogram(reduceResolution(all.at(-1)!, schema));
      assert.ok(equalHistograms(compactHistogram(counters[length - 1]!), last));
    }),
  );
});

test('a stale marker or a sum of NaN among histograms is left out', () => {
  const buffer = new SampleBuffer();
  const at = (i: number) => ({ count: i, sum: i, positiveBuckets: Float64Array.of(i) });
  for (let i = 1; i <= 20; i++) {
    const sum = i === 5 ? staleNaN() : i === 12 ? Number.NaN : i;
    buffer.pushHistogram(i * 60_000, histogram({ ...at(i), sum }));
  }
  const chunks = new Downsampler(Raw, FiveMinutes).series(encodeSamples(buffer));
  assert.equal(
    values(lane(chunks, 'count')).reduce((a, b) => a + b, 0),
    18,
  );
  const { histograms = [], length } = lane(chunks, 'counter');
  assert.equal(histograms[length - 1]!.count, 20);
});

test('chunks that overlap are damage, and a target must be coarser', () => {
  const [chunk] = floats([
    [0, 1],
    [60_000, 2],
  ]);
  assert.throws(
    () => new Downsampler(Raw, FiveMinutes).series([chunk!, chunk!]),
    (thrown) => thrown instanceof CorruptionError && /compact the overlapping/.test(thrown.message),
  );
  assert.throws(() => new Downsampler(FiveMinutes, FiveMinutes), BadInputError);
});

test('a block of the past that holds a raw chunk among aggregates is downsampled all the same', () => {
  const samples = Array.from({ length: 200 }, (_, i): [number, number] => [i * 60_000, i]);
  const fine = new Downsampler(Raw, FiveMinutes).series(floats(samples.slice(0, 120)));
  const coarse = new Downsampler(FiveMinutes, OneHour).series([
    ...fine,
    ...floats(samples.slice(120)),
  ]);
  assert.equal(
    values(lane(coarse, 'count')).reduce((a, b) => a + b, 0),
    200,
  );
});
