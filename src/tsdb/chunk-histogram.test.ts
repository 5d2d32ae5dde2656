import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CorruptionError } from '#/lib/errors.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { CounterReset, CUSTOM_BUCKETS_SCHEMA } from '#/model/histogram.ts';
import type { FloatHistogram, Span } from '#/model/histogram.ts';
import { isStaleNaN, staleNaN } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ChunkEncoding, decodeChunk } from './chunk.ts';
import type { TimedChunk } from './chunk.ts';
import { encodeSamples, HistogramEncoder, HistogramFlag } from './chunk-encoder.ts';
import { spanIndexes, spansOf } from './chunk/bucket-indexes.ts';

const forever = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

type Buckets = readonly (readonly [index: number, count: number])[];

function histogram(buckets: Buckets, more: Partial<FloatHistogram> = {}): FloatHistogram {
  return {
    counterReset: CounterReset.Unknown,
    schema: 3,
    zeroThreshold: 2 ** -128,
    zeroCount: 1,
    count: 1 + buckets.reduce((sum, [, count]) => sum + count, 0),
    sum: 12.5,
    positiveSpans: spansOf(buckets.map(([index]) => index)),
    positiveBuckets: Float64Array.from(buckets, ([, count]) => count),
    negativeSpans: [],
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
    ...more,
  };
}

/** What PromQL sees: empty buckets and the way spans are cut make no difference. */
function meaning(value: FloatHistogram) {
  if (isStaleNaN(value.sum)) return 'stale';
  const filled = (spans: readonly Span[], buckets: Float64Array) =>
    spanIndexes(spans)
      .map((index, i) => [index, buckets[i]])
      .filter(([, count]) => count !== 0);
  return {
    ...value,
    counterReset: value.counterReset === CounterReset.Gauge,
    positiveSpans: filled(value.positiveSpans, value.positiveBuckets),
    positiveBuckets: undefined,
    negativeSpans: filled(value.negativeSpans, value.negativeBuckets),
    negativeBuckets: undefined,
  };
}

function bufferOf(values: readonly FloatHistogram[]): SampleBuffer {
  const buffer = new SampleBuffer();
  for (const [i, value] of values.entries()) buffer.pushHistogram(1000 + i * 15_007, value);
  return buffer;
}

function decodeAll(chunks: readonly TimedChunk[]): SampleBuffer {
  const buffer = new SampleBuffer();
  for (const chunk of chunks) decodeChunk(chunk, ...forever, buffer);
  return buffer;
}

const side = (count: fc.Arbitrary<number>) =>
  fc.uniqueArray(fc.tuple(fc.integer({ min: -20, max: 20 }), count), {
    selector: ([index]) => index,
    maxLength: 8,
  });
const anyHistogram = (count: fc.Arbitrary<number>) =>
  fc
    .record({
      positive: side(count),
      negative: side(count),
      zeroCount: count,
      sum: fc.double({ noNaN: true }),
      hint: fc.constantFrom(CounterReset.Unknown, CounterReset.Gauge, CounterReset.Yes),
      zeroThreshold: fc.constantFrom(0, 2 ** -128, 2 ** -243, 1024, 0.001),
      schema: fc.constantFrom(-4, 0, 8, CUSTOM_BUCKETS_SCHEMA),
      stale: fc.boolean(),
      grown: fc.boolean(),
    })
    .map(({ positive, negative, schema, stale, grown, ...rest }) => {
      if (stale && grown) return histogram([], { sum: staleNaN() });
      const sorted = positive.toSorted(([a], [b]) => a - b);
      const below = negative.toSorted(([a], [b]) => a - b);
      return histogram(sorted, {
        schema,
        zeroCount: rest.zeroCount,
        sum: rest.sum,
        counterReset: rest.hint,
        zeroThreshold: rest.zeroThreshold,
        negativeSpans: spansOf(below.map(([index]) => index)),
        negativeBuckets: Float64Array.from(below, ([, value]) => value),
        customValues:
          schema === CUSTOM_BUCKETS_SCHEMA
            ? Float64Array.of(-1.5, 0, 0.001, 2.5, 1 / 3, 33554.43, 1e9)
            : new Float64Array(0),
      });
    });

for (const [form, count] of [
  ['integer', fc.nat(100_000)],
  ['float', fc.double({ noNaN: true, min: -1e9, max: 1e9 })],
] as const) {
  test(`${form} histogram chunks give back what went in`, () => {
    fc.assert(
      fc.property(fc.array(anyHistogram(count), { minLength: 1, maxLength: 40 }), (values) => {
        const buffer = bufferOf(values);
        const chunks = encodeSamples(buffer, form === 'float' ? { floatHistograms: true } : {});
        const got = decodeAll(chunks);
        assert.deepEqual(
          got.histograms!.map((value) => meaning(value!)),
          values.map(meaning),
        );
        assert.deepEqual(
          got.times.subarray(0, got.length),
          buffer.times.subarray(0, buffer.length),
        );
      }),
    );
  });
}

test('a growing layout keeps one chunk, a falling bucket begins another', () => {
  const encoder = new HistogramEncoder({ float: false, startTimes: false });
  assert.equal(encoder.append(1, histogram([[3, 5]])), undefined);
  assert.equal(
    encoder.append(
      2,
      histogram([
        [-2, 1],
        [3, 5],
        [9, 2],
      ]),
    ),
    undefined,
  );
  assert.equal(
    encoder.append(
      3,
      histogram([
        [-2, 1],
        [3, 6],
        [9, 2],
        [10, 0],
      ]),
    ),
    undefined,
  );
  assert.equal(encoder.append(4, histogram([[3, 60]])), HistogramFlag.Reset);
  assert.equal(
    encoder.flagAfter(
      histogram([
        [-2, 2],
        [3, 9],
        [9, 9],
      ]),
    ),
    HistogramFlag.NotReset,
  );
  const data = encoder.toBytes();
  const got = new SampleBuffer();
  decodeChunk({ encoding: ChunkEncoding.Histogram, data }, ...forever, got);
  const spans = [
    { offset: -2, length: 1 },
    { offset: 4, length: 1 },
    { offset: 5, length: 2 },
  ];
  assert.deepEqual(got.histograms![0]!.positiveSpans, spans);
  assert.deepEqual(Array.from(got.histograms![0]!.positiveBuckets), [0, 5, 0, 0]);
  assert.deepEqual(
    got.histograms!.map((value) => value!.counterReset),
    [CounterReset.Unknown, CounterReset.No, CounterReset.No],
  );
});

test('every reason to cut gives the flag that Prometheus gives', () => {
  const base = histogram([[1, 5]]);
  const cases: [string, FloatHistogram, integer: number | undefined, float: number | undefined][] =
    [
      ['same', base, undefined, undefined],
      ['stale', histogram([], { sum: staleNaN() }), undefined, undefined],
      ['reset hint', histogram([[1, 9]], { counterReset: CounterReset.Yes }), 0x80, 0x80],
      ['count falls', histogram([[1, 5]], { count: 1 }), 0x80, 0x80],
      ['schema', histogram([[1, 9]], { schema: 2 }), 0, 0],
      ['zero threshold', histogram([[1, 9]], { zeroThreshold: 1 }), 0, 0],
      ['zero count falls', histogram([[1, 9]], { zeroCount: 0 }), 0x80, 0x80],
      ['bucket disappears', histogram([[2, 9]]), 0x80, 0x80],
      ['gauge', histogram([[1, 5]], { counterReset: CounterReset.Gauge }), 0xc0, 0xc0],
    ];
  for (const [name, next, integer, float] of cases) {
    for (const [isFloat, want] of [
      [false, integer],
      [true, float],
    ] as const) {
      const encoder = new HistogramEncoder({ float: isFloat, startTimes: false });
      encoder.append(1, base);
      assert.equal(encoder.append(2, next), want, `${name}, float: ${isFloat}`);
    }
  }
  const stale = new HistogramEncoder({ float: false, startTimes: false });
  stale.append(1, histogram([], { sum: staleNaN() }));
  assert.equal(stale.append(2, base), HistogramFlag.Unknown);
  const gauge = new HistogramEncoder({ float: false, startTimes: false });
  gauge.append(1, histogram([[1, 5]], { counterReset: CounterReset.Gauge }));
  assert.equal(gauge.append(2, base), HistogramFlag.NotReset);
});

test('schemas finer than 8 are read as schema 8', () => {
  const encoder = new HistogramEncoder({ float: false, startTimes: false });
  encoder.append(
    1,
    histogram(
      [
        [-1, 1],
        [0, 2],
        [1, 4],
        [2, 8],
        [3, 16],
      ],
      { schema: 9 },
    ),
  );
  const got = new SampleBuffer();
  decodeChunk({ encoding: ChunkEncoding.Histogram, data: encoder.toBytes() }, ...forever, got);
  const value = got.histograms![0]!;
  assert.equal(value.schema, 8);
  assert.deepEqual(spanIndexes(value.positiveSpans), [0, 1, 2]);
  assert.deepEqual(Array.from(value.positiveBuckets), [3, 12, 16]);
});

test('damaged histogram chunks give samples or a CorruptionError', () => {
  const random = seededRandom(11);
  const values = Array.from({ length: 30 }, (_, i) =>
    histogram([
      [1, i],
      [4, 2 * i],
      [20, i],
    ]),
  );
  const intact = [false, true].map(
    (floatHistograms) => encodeSamples(bufferOf(values), { floatHistograms })[0]!,
  );
  for (let round = 0; round < 6000; round++) {
    const { encoding, data: whole } = intact[round % 2]!;
    const data = whole.slice(0, randomInteger(random, 0, whole.length));
    for (let flips = randomInteger(random, 0, 4); flips > 0 && data.length > 0; flips--) {
      data[randomInteger(random, 0, data.length - 1)] = randomInteger(random, 0, 255);
    }
    try {
      decodeChunk(
        { encoding: encoding + (round % 3 === 0 ? 3 : 0), data },
        ...forever,
        new SampleBuffer(),
      );
    } catch (thrown) {
      assert.ok(thrown instanceof CorruptionError, String(thrown));
    }
  }
});
