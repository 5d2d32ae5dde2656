import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatHistogram } from '#/model/histogram.ts';
import { Annotations } from '../annotations.ts';
import { custom, evaluate, exponential, valueOf } from './test-window.ts';
import type { TestSample } from './test-window.ts';

const withReset: readonly TestSample[] = [1, 2, 3, 4, 5, 9, 10, 11, 12, 13].map(
  (value, i) => [i * 15, value] as const,
);

test('anchored increase() begins at the last sample before the range', () => {
  const at = (end: number) => valueOf('increase', upTo(end), { end, extension: 'anchored' });
  assert.deepEqual([5, 20, 35, 80, 125].map(at), [0, 1, 2, 7, 7]);
});

test('smoothed increase() interpolates at both ends', () => {
  const at = (end: number) =>
    valueOf('increase', upTo(end + 300), { end, extension: 'smoothed' })!.toFixed(6);
  assert.deepEqual([20, 35, 50].map(at), ['1.333333', '2.333333', '3.333333']);
});

test('smoothed rates know resets between the samples around an end', () => {
  const samples: readonly TestSample[] = [
    [0, 10],
    [60, 4],
    [120, 8],
  ];
  // At 30 s the counter had risen from 0 to 2 after its reset.
  assert.equal(valueOf('increase', samples, { end: 120, range: 90, extension: 'smoothed' }), 6);
});

test('anchored resets() and changes() count from the sample before the range', () => {
  const samples: readonly TestSample[] = [
    [0, 1],
    [30, 5],
    [70, 2],
    [90, 3],
  ];
  const options = { range: 50, end: 90, extension: 'anchored' } as const;
  assert.equal(valueOf('resets', samples, options), 1);
  assert.equal(valueOf('changes', samples, options), 2);
  assert.equal(valueOf('changes', samples.slice(0, 2), options), undefined);
});

test('irate() and idelta() look at the last two samples', () => {
  const samples: readonly TestSample[] = [
    [0, 5],
    [10, 7],
    [20, 4],
  ];
  assert.equal(valueOf('irate', samples), 0.4);
  assert.equal(valueOf('idelta', samples), -3);
  assert.equal(valueOf('irate', samples.slice(0, 1)), undefined);
});

test('start timestamps tell of resets that values hide', () => {
  const samples: readonly TestSample[] = [
    [10, 5],
    [20, 7],
  ];
  assert.equal(valueOf('resets', samples, { startTimes: [1, 15] }), 1);
  assert.equal(valueOf('irate', samples, { startTimes: [1, 15] }), 0.7);
  assert.equal(valueOf('resets', samples, { startTimes: [1, 1] }), 0);
});

test('a start timestamp before the previous sample is warned of with its occurrences', () => {
  const annotations = new Annotations();
  const samples: readonly TestSample[] = [
    [10, 5],
    [20, 7],
  ];
  for (let i = 0; i < 2; i++) evaluate('rate', samples, { startTimes: [1, 5], annotations });
  assert.deepEqual(annotations.warnings('foo'), [
    'PromQL warning: sample has start time that overlaps with previous sample timestamp for metric "metric" (2 occurrences) (1:1)',
  ]);
});

test('rate() of histograms scales every bucket', () => {
  const samples = [0, 1, 2, 3, 4].map((i) => [i * 15, exponential([10 + i, 30 + 3 * i])] as const);
  const { histogram } = evaluate('rate', samples, { range: 60.001 })!;
  assert.equal(histogram!.count.toFixed(6), (16 / 60).toFixed(6));
  assert.equal(histogram!.counterReset, 3);
});

test('increase() of histograms adds what was before a reset', () => {
  const samples: readonly TestSample[] = [
    [0, exponential([10, 20])],
    [30, exponential([12, 26])],
    [60, exponential([1, 2])],
  ];
  const { histogram } = evaluate('increase', samples, { range: 60 })!;
  assert.equal(formatHistogram(histogram!), '{count:11, sum:11, (0.5,1]:3, (1,2]:8}');
});

test('a window of floats and histograms has no rate', () => {
  const annotations = new Annotations();
  const samples: readonly TestSample[] = [
    [0, exponential([1])],
    [30, 2],
  ];
  assert.equal(evaluate('rate', samples, { annotations }), undefined);
  assert.deepEqual(annotations.warnings('foo'), [
    'PromQL warning: encountered a mix of histograms and floats for metric name "metric" (1:1)',
  ]);
  assert.equal(valueOf('max_over_time', samples), 2);
  assert.equal(valueOf('resets', samples), 1);
});

test('sum_over_time() of different custom bounds says so', () => {
  const annotations = new Annotations();
  const samples: readonly TestSample[] = [
    [0, custom([1, 2], [1, 1, 1])],
    [30, custom([2, 3], [1, 1, 1])],
  ];
  const { histogram } = evaluate('sum_over_time', samples, { annotations })!;
  assert.equal(formatHistogram(histogram!), '{count:6, sum:6, [-Inf,2]:3, (2,+Inf]:3}');
  assert.deepEqual(annotations.infos('foo'), [
    'PromQL info: mismatched custom buckets were reconciled during aggregation (1:1)',
  ]);
});

test('xincrease() of a new series is its first value', () => {
  assert.equal(valueOf('xincrease', [[30, 5]], { end: 60 }), 5);
  assert.equal(valueOf('xincrease', [[30, 5]], { end: 91 }), 0);
});

test('xrate() uses the sample before the range and covers all of it', () => {
  const samples: readonly TestSample[] = [0, 1, 2, 3, 4, 5].map((i) => [i * 15, i * 30]);
  const value = valueOf('xrate', samples, { range: 60, end: 77 });
  assert.equal(value, 2);
  assert.equal(valueOf('xincrease', samples, { range: 60, end: 77 }), 120);
});

test('xincrease() of a whole minute after another adds up to the total', () => {
  const steps = fc.array(fc.nat(100), { minLength: 12, maxLength: 40 });
  fc.assert(
    fc.property(steps, (increments) => {
      let total = 0;
      const samples = increments.map((by, i) => [i * 10, (total += by)] as const);
      const minutes = Math.floor((samples.length - 1) / 6);
      let sum = 0;
      for (let minute = 1; minute <= minutes; minute++) {
        const end = minute * 60;
        const within = samples.filter(([time]) => time <= end);
        sum += valueOf('xincrease', within, { end })!;
      }
      const constantStart = samples[0]![1] === samples[6]![1] ? samples[0]![1] : 0;
      assert.equal(sum - constantStart, samples[minutes * 6]![1] - samples[0]![1]);
    }),
  );
});

function upTo(end: number): readonly TestSample[] {
  return withReset.filter(([time]) => time <= end);
}
