import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addHistograms,
  compactHistogram,
  CounterReset,
  CUSTOM_BUCKETS_SCHEMA,
  detectReset,
  divideHistogram,
  equalHistograms,
  formatHistogram,
  HistogramMean,
  HistogramSum,
  histogramToJson,
  reduceResolution,
  scaleHistogram,
  subtractHistograms,
  trimHistogram,
} from './histogram.ts';
import type { FloatHistogram } from './histogram.ts';

test('formatHistogram() prints bounds and leaves out empty buckets', () => {
  const histogram = exponential({
    schema: 1,
    zeroThreshold: 0.01,
    zeroCount: 2,
    count: 9,
    sum: 1e6,
    positiveSpans: [
      { offset: 0, length: 2 },
      { offset: 1, length: 1 },
    ],
    positiveBuckets: Float64Array.of(1, 0, 3),
    negativeSpans: [{ offset: 1, length: 1 }],
    negativeBuckets: Float64Array.of(3),
  });
  assert.equal(
    formatHistogram(histogram),
    '{count:9, sum:1e+06, [-1.414213562373095,-1):3, [-0.01,0.01]:2, (0.7071067811865475,1]:1, (2,2.82842712474619]:3}',
  );
});

test('histogramToJson() names the boundary rules', () => {
  const histogram = custom([1, 2.5], { offset: 0, counts: [1, 0, 3] });
  assert.deepEqual(histogramToJson(histogram), {
    count: '4',
    sum: '0',
    buckets: [
      [3, '-Inf', '1', '1'],
      [0, '2.5', '+Inf', '3'],
    ],
  });
  assert.deepEqual(histogramToJson(exponential({})), { count: '0', sum: '0' });
});

test('h + h − h = h', () => {
  fc.assert(
    fc.property(histograms(), (histogram) => {
      const doubled = addHistograms(histogram, histogram)!.histogram;
      const again = subtractHistograms(doubled, histogram)!.histogram;
      assert.ok(equalHistograms(again, histogram));
    }),
  );
});

test('addition commutes, whatever the schemas and zero buckets', () => {
  fc.assert(
    fc.property(histograms(), histograms(), (a, b) => {
      const left = compactHistogram(addHistograms(a, b)!.histogram);
      const right = compactHistogram(addHistograms(b, a)!.histogram);
      assert.equal(formatHistogram(left), formatHistogram(right));
      assert.equal(left.count, a.count + b.count);
      assert.equal(observations(left), observations(a) + observations(b));
    }),
  );
});

test('reduceResolution() preserves the number of observations', () => {
  fc.assert(
    fc.property(histograms(), fc.integer({ min: -4, max: 8 }), (histogram, schema) => {
      fc.pre(schema <= histogram.schema);
      const reduced = reduceResolution(histogram, schema);
      assert.equal(observations(reduced), observations(histogram));
      assert.equal(reduced.schema, schema);
    }),
  );
});

test('HistogramSum equals addition where nothing is rounded', () => {
  fc.assert(
    fc.property(fc.array(histograms(), { minLength: 1, maxLength: 6 }), (list) => {
      const [first, ...rest] = list as [FloatHistogram, ...FloatHistogram[]];
      const sum = new HistogramSum(first);
      let expected = first;
      for (const histogram of rest) {
        assert.ok(sum.add(histogram));
        expected = addHistograms(expected, histogram)!.histogram;
      }
      assert.equal(
        formatHistogram(compactHistogram(sum.result())),
        formatHistogram(compactHistogram(expected)),
      );
    }),
  );
});

test('HistogramSum keeps what plain addition loses', () => {
  const sum = new HistogramSum(exponential({ sum: 1 }));
  for (const value of [1e100, 1, -1e100]) sum.add(exponential({ sum: value }));
  assert.equal(sum.result().sum, 2);
});

test('HistogramMean does not overflow', () => {
  const large = exponential({ count: 1, sum: 1.5e308 });
  const mean = new HistogramMean(large);
  for (let i = 0; i < 3; i++) assert.ok(mean.add(large));
  assert.ok(Math.abs(mean.result().sum / 1.5e308 - 1) < 1e-12);
});

test('zero buckets widen to the end of the bucket that they cut', () => {
  const wide = exponential({ zeroThreshold: 0.75, zeroCount: 1, count: 1 });
  const narrow = exponential({
    zeroThreshold: 0.1,
    zeroCount: 1,
    count: 4,
    positiveSpans: [{ offset: 0, length: 2 }],
    positiveBuckets: Float64Array.of(1, 2),
  });
  const { histogram } = addHistograms(wide, narrow)!;
  assert.equal(formatHistogram(histogram), '{count:5, sum:0, [-1,1]:3, (1,2]:2}');
});

test('custom bounds are reconciled to those that both have', () => {
  const a = custom([1, 2, 3], { offset: 0, counts: [1, 2, 3, 4] });
  const b = custom([1, 3, 5], { offset: 0, counts: [10, 20, 30, 40] });
  const sum = addHistograms(a, b)!;
  assert.ok(sum.boundsReconciled);
  assert.deepEqual([...sum.histogram.customValues], [1, 3]);
  assert.deepEqual([...sum.histogram.positiveBuckets], [11, 25, 74]);
});

test('exponential and custom buckets do not add up', () => {
  assert.equal(addHistograms(exponential({}), custom([1], { offset: 0, counts: [1] })), undefined);
});

test('a reset against no reset is a collision', () => {
  const reset = exponential({ counterReset: CounterReset.Yes });
  const noReset = exponential({ counterReset: CounterReset.No });
  const { histogram, counterResetCollision } = addHistograms(reset, noReset)!;
  assert.ok(counterResetCollision);
  assert.equal(histogram.counterReset, CounterReset.Unknown);
});

test('detectReset() sees a fall, a missing bucket and a finer schema', () => {
  const before = exponential({
    count: 3,
    positiveSpans: [{ offset: 0, length: 2 }],
    positiveBuckets: Float64Array.of(1, 2),
  });
  const grown = { ...before, count: 5, positiveBuckets: Float64Array.of(1, 4) };
  const moved = { ...before, count: 5, positiveSpans: [{ offset: 1, length: 2 }] };
  assert.equal(detectReset(grown, before), false);
  assert.equal(detectReset({ ...grown, count: 2 }, before), true);
  assert.equal(detectReset(moved, before), true);
  assert.equal(detectReset({ ...grown, schema: 1 }, before), true);
  assert.equal(detectReset({ ...grown, counterReset: CounterReset.Yes }, before), true);
  assert.equal(detectReset({ ...moved, counterReset: CounterReset.No }, before), false);
});

test('adding observations to a counter is never a reset', () => {
  fc.assert(
    fc.property(histograms(), histograms(), (a, b) => {
      const unknown = { ...a, counterReset: CounterReset.Unknown };
      assert.equal(
        detectReset(
          addHistograms(unknown, { ...b, counterReset: CounterReset.Unknown })!.histogram,
          unknown,
        ),
        false,
      );
    }),
  );
});

test('trimHistogram() interpolates the bucket it cuts', () => {
  const histogram = custom([10, 20, 30], { offset: 0, counts: [4, 8, 2] });
  const below = trimHistogram(histogram, 15, 'keep-below');
  assert.deepEqual([...below.positiveBuckets], [4, 4]);
  assert.equal(below.count, 8);
  assert.equal(below.sum, 4 * 5 + 4 * 12.5);
  assert.equal(trimHistogram(histogram, 100, 'keep-below'), histogram);
});

test('compactHistogram() cuts out empty buckets and joins spans', () => {
  const histogram = exponential({
    positiveSpans: [
      { offset: -2, length: 3 },
      { offset: 0, length: 2 },
      { offset: 5, length: 0 },
    ],
    positiveBuckets: Float64Array.of(0, 1, 0, 2, 3),
  });
  const { positiveSpans, positiveBuckets } = compactHistogram(histogram);
  assert.deepEqual(positiveSpans, [
    { offset: -1, length: 1 },
    { offset: 1, length: 2 },
  ]);
  assert.deepEqual([...positiveBuckets], [1, 2, 3]);
  assert.deepEqual(compactHistogram(histogram, 1).positiveSpans, [{ offset: -1, length: 4 }]);
});

test('scaleHistogram() by a negative factor makes a gauge', () => {
  assert.equal(scaleHistogram(exponential({}), -1).counterReset, CounterReset.Gauge);
});

test('divideHistogram() by zero leaves totals alone', () => {
  const divided = divideHistogram(custom([1, 2], { offset: 0, counts: [1, 2, 3] }), 0);
  assert.equal(formatHistogram(divided), '{count:+Inf, sum:NaN}');
});

function observations({ zeroCount, positiveBuckets, negativeBuckets }: FloatHistogram): number {
  return [...positiveBuckets, ...negativeBuckets].reduce((sum, count) => sum + count, zeroCount);
}

function exponential(parts: Partial<FloatHistogram>): FloatHistogram {
  return {
    counterReset: CounterReset.Unknown,
    schema: 0,
    zeroThreshold: 0,
    zeroCount: 0,
    count: 0,
    sum: 0,
    positiveSpans: [],
    positiveBuckets: new Float64Array(0),
    negativeSpans: [],
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
    ...parts,
  };
}

function custom(
  bounds: readonly number[],
  { offset, counts }: { readonly offset: number; readonly counts: readonly number[] },
): FloatHistogram {
  return exponential({
    schema: CUSTOM_BUCKETS_SCHEMA,
    count: counts.reduce((sum, count) => sum + count, 0),
    positiveSpans: [{ offset, length: counts.length }],
    positiveBuckets: Float64Array.from(counts),
    customValues: Float64Array.from(bounds),
  });
}

/** Exponential histograms with whole counts, so that sums are exact. */
function histograms(): fc.Arbitrary<FloatHistogram> {
  const side = fc.array(
    fc.record({
      gap: fc.integer({ min: 1, max: 3 }),
      counts: fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }),
    }),
    { maxLength: 3 },
  );
  return fc
    .record({
      schema: fc.integer({ min: -2, max: 3 }),
      // Bounds of every schema here: where one cuts a bucket of the coarser side, Prometheus (and we
      // with it) counts what lies within twice.
      zeroThreshold: fc.constantFrom(0, 2 ** -8, 1, 16),
      zeroCount: fc.nat(5),
      sum: fc.integer({ min: -1000, max: 1000 }),
      start: fc.integer({ min: 1, max: 6 }),
      positive: side,
      negative: side,
    })
    .map(({ schema, zeroThreshold, zeroCount, sum, start, positive, negative }) => {
      const endOfZero = zeroThreshold === 0 ? -5 : Math.log2(zeroThreshold) * 2 ** schema;
      const spansOf = (runs: typeof positive) =>
        runs.map(({ gap, counts }, i) => ({
          offset: i === 0 ? endOfZero + start : gap,
          length: counts.length,
        }));
      const histogram = exponential({
        schema,
        zeroThreshold,
        zeroCount,
        sum,
        positiveSpans: spansOf(positive),
        positiveBuckets: Float64Array.from(positive.flatMap(({ counts }) => counts)),
        negativeSpans: spansOf(negative),
        negativeBuckets: Float64Array.from(negative.flatMap(({ counts }) => counts)),
      });
      return { ...histogram, count: observations(histogram) };
    });
}
