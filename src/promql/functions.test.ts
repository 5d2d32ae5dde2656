import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CompensatedSum } from '#/lib/compensated-sum.ts';
import { Annotations } from './annotations.ts';
import { pointFunctions, rangeFunctions } from './functions.ts';
import type { KernelContext, KernelResult, RangeWindow } from './functions.ts';
import { StepColumn } from './step-column.ts';

const MINUTE = 60_000;

test('rate() of a linear counter is its slope', () => {
  const slopes = fc.double({ min: 0.001, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(slopes, fc.integer({ min: 2, max: 50 }), (slope, count) => {
      const samples = Array.from({ length: count }, (_, i) => [
        i * 15_000 + 1,
        (i * 15 + 60) * slope,
      ]);
      const rangeMs = (count - 1) * 15_000 + 1;
      const value = evaluate('rate', samples as [number, number][], { rangeMs, endMs: rangeMs });
      assert.ok(Math.abs(value! - slope) <= 1e-9 * slope, `${value} instead of ${slope}`);
    }),
  );
});

test('increase() adds what was counted before a reset', () => {
  const value = evaluate('increase', [
    [15_000, 10],
    [30_000, 20],
    [45_000, 5],
    [60_000, 15],
  ]);
  // 15 − 10 + 20 = 25 in 45 s, extended to the left by all of the 15 s.
  assert.equal(value, 25 * (60 / 45));
});

test('increase() does not extend a counter below zero', () => {
  const value = evaluate('increase', [
    [30_000, 1],
    [60_000, 11],
  ]);
  // The counter was zero 3 s before its first sample.
  assert.equal(value, 10 * (33 / 30));
});

test('rate() starts from a start timestamp within the range', () => {
  const startTimes = new Float64Array([20_000, 20_000]);
  const value = evaluate(
    'increase',
    [
      [30_000, 1],
      [60_000, 11],
    ],
    { startTimes },
  );
  assert.equal(value, 11);
});

test('delta() may fall', () => {
  const value = evaluate('delta', [
    [0, 10],
    [60_000, 4],
  ]);
  assert.equal(value, -6);
});

test('sum_over_time() keeps what plain addition loses', () => {
  const value = evaluate('sum_over_time', [
    [1, 1],
    [2, 1e100],
    [3, 1],
    [4, -1e100],
  ]);
  assert.equal(value, 2);
});

test('sum_over_time() equals the sum compensated by comparison', () => {
  const values = fc.array(fc.double({ min: -1e300, max: 1e300 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(values, (column) => {
      const expected = new CompensatedSum();
      for (const value of column) expected.add(value);
      const samples = column.map((value, i) => [i, value] as const);
      assert.equal(evaluate('sum_over_time', samples), expected.value);
    }),
  );
});

test('sums past the finite numbers are infinite or NaN', () => {
  const sumOf = (...values: number[]) =>
    evaluate(
      'sum_over_time',
      values.map((value, i) => [i, value] as const),
    );
  assert.equal(sumOf(Number.MAX_VALUE, Number.MAX_VALUE), Infinity);
  assert.equal(sumOf(-Infinity, 1), -Infinity);
  assert.equal(sumOf(-Infinity, 1, Infinity), NaN);
  assert.equal(
    evaluate('avg_over_time', [
      [1, -Infinity],
      [2, 1],
    ]),
    -Infinity,
  );
});

test('avg_over_time() does not overflow', () => {
  const value = evaluate('avg_over_time', [
    [1, Number.MAX_VALUE],
    [2, Number.MAX_VALUE],
    [3, Number.MAX_VALUE],
  ]);
  assert.ok(Math.abs(value! / Number.MAX_VALUE - 1) < 1e-15);
});

test('the functions over time of a few samples', () => {
  const samples: [number, number][] = [
    [10_000, 4],
    [20_000, 1],
    [30_000, 4],
    [40_000, 7],
  ];
  const expected: Record<string, number> = {
    count_over_time: 4,
    first_over_time: 4,
    last_over_time: 7,
    max_over_time: 7,
    min_over_time: 1,
    mad_over_time: 1.5,
    stdvar_over_time: 4.5,
    stddev_over_time: Math.sqrt(4.5),
    ts_of_first_over_time: 10,
    ts_of_last_over_time: 40,
    ts_of_max_over_time: 40,
    ts_of_min_over_time: 20,
    present_over_time: 1,
    changes: 3,
    resets: 1,
    deriv: 0.12,
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.equal(evaluate(name, samples), value, name);
  }
  assert.equal(evaluate('quantile_over_time', samples, { args: [0.25] }), 3.25);
  assert.equal(evaluate('predict_linear', samples, { args: [60], endMs: 25_000 }), 4 + 0.12 * 60);
});

test('min and max pass over NaN, changes() sees none between NaNs', () => {
  const samples: [number, number][] = [
    [1, NaN],
    [2, NaN],
    [3, 2],
    [4, NaN],
  ];
  assert.equal(evaluate('max_over_time', samples), 2);
  assert.equal(evaluate('min_over_time', samples), 2);
  assert.equal(evaluate('changes', samples), 2);
});

test('quantile_over_time() warns of a quantile outside 0 to 1', () => {
  const annotations = new Annotations();
  const value = evaluate('quantile_over_time', [[1, 1]], { args: [2], annotations });
  assert.equal(value, Infinity);
  assert.deepEqual(annotations.warnings('foo'), [
    'PromQL warning: quantile value should be between 0 and 1, got 2 (1:1)',
  ]);
});

test('double_exponential_smoothing() names a factor outside its bounds', () => {
  assert.throws(() => evaluate('double_exponential_smoothing', [[1, 1]], { args: [1, 0.5] }), {
    message: 'invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000',
  });
});

test('date functions know leap years and times before 1970', () => {
  const leapDay = Date.UTC(2024, 1, 29, 23, 59, 59) / 1000;
  const dates = [leapDay, -1, 0, Date.UTC(1900, 11, 31) / 1000, 1e11];
  for (const seconds of dates) {
    const date = new Date(seconds * 1000);
    const firstOfYear = Date.UTC(date.getUTCFullYear(), 0, 1);
    assert.equal(pointOf('year', seconds), date.getUTCFullYear());
    assert.equal(pointOf('month', seconds), date.getUTCMonth() + 1);
    assert.equal(pointOf('day_of_month', seconds), date.getUTCDate());
    assert.equal(pointOf('day_of_week', seconds), date.getUTCDay());
    assert.equal(
      pointOf('day_of_year', seconds),
      Math.floor((date.getTime() - firstOfYear) / 86_400_000) + 1,
    );
    assert.equal(pointOf('hour', seconds), date.getUTCHours());
    assert.equal(pointOf('minute', seconds), date.getUTCMinutes());
  }
  assert.equal(pointOf('days_in_month', leapDay), 29);
  assert.equal(pointOf('days_in_month', Date.UTC(1900, 1, 1) / 1000), 28);
});

test('date functions of NaN and infinity wrap as in Prometheus', () => {
  for (const seconds of [NaN, Infinity, -Infinity, 1e300]) {
    const names = ['year', 'month', 'day_of_month', 'day_of_year', 'hour', 'minute'];
    const date = names.map((name) => pointOf(name, seconds));
    assert.deepEqual(date, [292_277_026_596, 12, 4, 339, 15, 30]);
  }
});

test('round() takes ties up, clamp() needs min ≤ max', () => {
  assert.equal(pointOf('round', -0.5), 0);
  assert.equal(pointOf('round', 2.5), 3);
  assert.equal(pointOf('round', 1.23, 0.1), 1.2);
  assert.equal(pointOf('clamp', 5, 1, 3), 3);
  assert.equal(pointOf('clamp', 5, 3, 1), undefined);
  assert.equal(pointOf('clamp_min', 5, 7), 7);
});

interface Options {
  readonly rangeMs?: number;
  readonly endMs?: number;
  readonly args?: readonly number[];
  readonly startTimes?: Float64Array;
  readonly annotations?: Annotations;
}

/** The value of a range function over all of `samples`, the range being one minute up to the last. */
function evaluate(
  name: string,
  samples: readonly (readonly [number, number])[],
  { rangeMs = MINUTE, endMs, args = [], startTimes, annotations = new Annotations() }: Options = {},
): number | undefined {
  const rangeEnd = endMs ?? samples.at(-1)![0];
  const window: RangeWindow = {
    times: Float64Array.from(samples, ([time]) => time),
    values: Float64Array.from(samples, ([, value]) => value),
    histograms: undefined,
    startTimes,
    counts: undefined,
    from: 0,
    to: samples.length,
    extension: 'none',
    rangeStart: rangeEnd - rangeMs,
    rangeEnd,
    stepTime: rangeEnd,
    args,
  };
  const result: KernelResult = { present: false, value: 0, histogram: undefined };
  rangeFunctions.get(name)!.kernel(window, result, contextFor(annotations));
  return result.present ? result.value : undefined;
}

function pointOf(name: string, value: number, ...args: number[]): number | undefined {
  const column = new StepColumn(1);
  column.setFloat(0, value);
  pointFunctions.get(name)!.kernel(
    column,
    args.map((arg) => Float64Array.of(arg)),
    contextFor(new Annotations()),
  );
  return column.present[0] === 1 ? column.values[0] : undefined;
}

function contextFor(annotations: Annotations): KernelContext {
  return { annotations, metricName: 'metric', argPosition: { start: 0, end: 3 } };
}
