import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pointFunctions } from '../functions.ts';
import { Annotations } from '../annotations.ts';
import { StepColumn } from '../step-column.ts';
import { classicFraction, classicQuantile } from './classic-histogram.ts';
import type { ClassicBuckets } from './classic-histogram.ts';
import { nativeFraction, nativeQuantile } from './native-histogram.ts';
import { contextFor, custom, exponential } from './test-window.ts';

test('classicQuantile() interpolates from zero up', () => {
  const buckets = () => classic([10, 15, 20, 30, Infinity], [10, 15, 15, 15, 15]);
  const quantiles = [1, 0.9, 0.5].map((q) => classicQuantile(q, buckets()).quantile);
  assert.deepEqual(quantiles, [15, 13.5, 7.5]);
  assert.equal(classicQuantile(-1, buckets()).quantile, -Infinity);
  assert.equal(classicQuantile(2, buckets()).quantile, Infinity);
});

test('classicQuantile() in the highest bucket is the bound below it', () => {
  const { quantile } = classicQuantile(0.9, classic([1, 2, Infinity], [1, 2, 10]));
  assert.equal(quantile, 2);
});

test('classicQuantile() is NaN without +Inf, observations or a second bucket', () => {
  assert.equal(classicQuantile(0.5, classic([1, 2], [1, 2])).quantile, NaN);
  assert.equal(classicQuantile(0.5, classic([1, Infinity], [0, 0])).quantile, NaN);
  assert.equal(classicQuantile(0.5, classic([Infinity, Infinity], [1, 2])).quantile, NaN);
});

test('classicQuantile() evens out rounding and tells of real falls', () => {
  const rounded = classicQuantile(0.9, classic([10, 15, 20, Infinity], [10, 15, 15 + 1e-12, 15]));
  assert.deepEqual(rounded, { quantile: 13.5, forced: undefined });
  const falling = classicQuantile(0.9, classic([10, 15, 20, Infinity], [10, 15, 13, 15]));
  assert.deepEqual(falling, {
    quantile: 13.5,
    forced: { minBucket: 20, maxBucket: 20, maxDiff: 2 },
  });
});

test('equal bounds join', () => {
  const { quantile } = classicQuantile(0.5, classic([1, 1, 2, 2, Infinity], [1, 1, 3, 3, 6]));
  assert.equal(quantile, 1.25);
});

test('nativeQuantile() is exponential within exponential buckets', () => {
  const histogram = exponential([0, 4]);
  assert.ok(Math.abs(nativeQuantile(0.5, histogram).quantile - Math.SQRT2) < 1e-15);
  assert.equal(nativeQuantile(1, histogram).quantile, 2);
  assert.equal(nativeQuantile(NaN, histogram).quantile, NaN);
});

test('nativeQuantile() is linear in zero and custom buckets', () => {
  const zero = exponential([0, 4], { zeroCount: 4, zeroThreshold: 0.5, count: 8 });
  assert.equal(nativeQuantile(0.25, zero).quantile, 0.25);
  const histogram = custom([10, 20], [2, 2, 4]);
  assert.equal(nativeQuantile(0.125, histogram).quantile, 5);
  assert.equal(nativeQuantile(0.375, histogram).quantile, 15);
  assert.equal(nativeQuantile(0.9, histogram).quantile, 20);
});

test('NaN observations skew a quantile or make it NaN', () => {
  const histogram = exponential([0, 4], { count: 8, sum: NaN });
  assert.equal(nativeQuantile(0.25, histogram).nanEffect, 'skewed-higher');
  assert.deepEqual(nativeQuantile(0.9, histogram), {
    quantile: NaN,
    nanEffect: 'result-is-nan',
  });
  assert.equal(nativeFraction(-Infinity, Infinity, histogram).excludesNaN, true);
});

test('with NaN observations a quantile is interpolated in the last bucket, as in Prometheus', () => {
  const histogram = exponential([4, 5], { sum: NaN });
  const { quantile } = nativeQuantile(0.3, histogram);
  assert.equal(quantile, 2 ** ((0.3 * 9) / 5));
});

test('nativeFraction() up to a quantile is that quantile', () => {
  const counts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
  const quantiles = fc.double({ min: 0.01, max: 0.99, noNaN: true });
  fc.assert(
    fc.property(counts, quantiles, (buckets, q) => {
      const histogram = exponential(buckets);
      const { quantile } = nativeQuantile(q, histogram);
      const { fraction } = nativeFraction(-Infinity, quantile, histogram);
      assert.ok(Math.abs(fraction - q) < 1e-9, `${fraction} instead of ${q}`);
    }),
  );
});

test('classicFraction() interpolates and needs +Inf', () => {
  const buckets = () => classic([1, 2, Infinity], [2, 6, 8]);
  assert.equal(classicFraction(-Infinity, 1.5, buckets()), 0.5);
  assert.equal(classicFraction(0.5, 2, buckets()), 5 / 8);
  assert.equal(classicFraction(2, 1, buckets()), 0);
  assert.equal(classicFraction(0, 1, classic([1, 2], [1, 2])), NaN);
});

test('histogram_count() and its kin leave floats out', () => {
  const column = new StepColumn(2);
  column.setFloat(0, 1);
  column.setHistogram(1, custom([2, 4], [1, 3, 0]));
  pointFunctions.get('histogram_stdvar')!.kernel(column, [], contextFor(new Annotations()));
  assert.deepEqual([...column.present], [0, 1]);
  assert.equal(column.values[1], Infinity);
  column.setHistogram(1, exponential([0, 4], { sum: 4 * Math.SQRT2 }));
  pointFunctions.get('histogram_stddev')!.kernel(column, [], contextFor(new Annotations()));
  assert.ok(Math.abs(column.values[1]) < 1e-15);
});

function classic(bounds: readonly number[], counts: readonly number[]): ClassicBuckets {
  return {
    bounds: Float64Array.from(bounds),
    counts: Float64Array.from(counts),
    length: bounds.length,
  };
}
