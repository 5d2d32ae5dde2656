import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { MemoryQueryable } from '#/storage/memory-queryable.ts';
import { Engine, stableEngineFeatures } from './engine.ts';
import { EvaluationError } from './evaluation-error.ts';
import { parseMetric } from './parser.ts';
import type { Evaluation } from './value.ts';

/** What `npm run fuzz:promql` once found; the expected answers are those of Prometheus 3.14. */

type Sample = number | FloatHistogram | undefined;

/** Samples of each series at 0 s, 1 s and so on; nothing at `undefined`. */
function data(series: Record<string, readonly Sample[]>): MemoryQueryable {
  const queryable = new MemoryQueryable();
  for (const [name, samples] of Object.entries(series)) {
    const buffer = queryable.samples(parseMetric(name));
    for (const [second, sample] of samples.entries()) {
      if (typeof sample === 'number') buffer.pushFloat(second * 1000, sample);
      else if (sample !== undefined) buffer.pushHistogram(second * 1000, sample);
    }
  }
  return queryable;
}

const histogram: FloatHistogram = {
  counterReset: CounterReset.Unknown,
  schema: 0,
  zeroThreshold: 0.001,
  zeroCount: 1,
  count: 1,
  sum: 0,
  positiveSpans: [],
  positiveBuckets: new Float64Array(),
  negativeSpans: [],
  negativeBuckets: new Float64Array(),
  customValues: new Float64Array(),
};

const engine = new Engine({
  lookbackMs: 300_000,
  maxSamples: 0,
  defaultStepMs: () => 1000,
  features: {
    ...stableEngineFeatures,
    experimentalFunctions: true,
    extendedRangeSelectors: true,
    fillModifiers: true,
  },
});

const context = () => ({ signal: new AbortController().signal, budget: unlimitedBudget() });

function instant(text: string, queryable: MemoryQueryable, timeMs = 3000): Promise<Evaluation> {
  return engine.instant({ text, timeMs }, queryable, context());
}

function range(text: string, queryable: MemoryQueryable): Promise<Evaluation> {
  return engine.range({ text, startMs: 0, endMs: 3000, stepMs: 1000 }, queryable, context());
}

describe('annotations of what no result needs', () => {
  const queryable = data({
    'gauge{a="x"}': [1, 2, 3],
    'other{a="y"}': [1, 2, 3],
    'native{a="y"}': [histogram, histogram],
  });
  const notCounter = (place: string) =>
    `PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "other" (${place})`;
  const cases: [string, string][] = [
    ['gauge and rate(other[5s])', notCounter('1:16')],
    ['gauge unless rate(other[5s])', notCounter('1:19')],
    ['gauge + rate(other[5s])', notCounter('1:14')],
    ['rate(other[5s]) > gauge', notCounter('1:6')],
    ['topk(0, rate(other[5s]))', notCounter('1:14')],
    ['limit_ratio(0, rate(other[5s]))', notCounter('1:21')],
    ['gauge > min(native)', 'PromQL info: ignored histogram in min aggregation (1:13)'],
  ];
  for (const [text, info] of cases) {
    test(text, async () => {
      assert.deepEqual((await instant(text, queryable)).promqlInfos, [info]);
    });
  }

  test('a failure there fails the query', async () => {
    await assert.rejects(
      instant(
        'gauge + label_replace(two, "b", "z", "", "")',
        data({ gauge: [1], 'two{b="1"}': [1], 'two{b="2"}': [1] }),
      ),
      new EvaluationError('vector cannot contain metrics with the same labelset'),
    );
  });
});

test('annotations about a subquery are at the beginning of the query', async () => {
  const { promqlInfos } = await instant('1 + rate(gauge[5s:])', data({ gauge: [1, 2, 3] }));
  assert.equal(promqlInfos[0]?.slice(-'"gauge" (1:1)'.length), '"gauge" (1:1)');
});

test('a join fails for the first step with duplicates, and the first series at that step', async () => {
  const queryable = data({
    'one{g="a", i="1"}': [1],
    'many{g="a", i="1"}': [1, 1],
    'many{g="a", i="2"}': [undefined, 1],
    'many{g="b", i="1"}': [1],
    'many{g="b", i="2"}': [1],
  });
  await assert.rejects(
    range('one + on (g) many', queryable),
    new EvaluationError(
      'found duplicate series for the match group {g="b"} on the right hand-side of the operation: ' +
        '[{__name__="many", g="b", i="1"}, {__name__="many", g="b", i="2"}]' +
        ';many-to-many matching not allowed: matching labels must be unique on one side',
    ),
  );
});

test('a sample that its partner does not fit gets a fill value', async () => {
  const queryable = data({ native: [histogram], gauge: [5] });
  const { value } = await instant('native - fill_left (1) gauge', queryable);
  assert.deepEqual(value.kind === 'vector' && value.samples.map((sample) => sample.value), [-4]);
});

test('limitk names an infinite parameter as Go does', async () => {
  await assert.rejects(
    instant('limitk(Inf, gauge)', data({ gauge: [1] })),
    new EvaluationError('Scalar value +Inf overflows int64'),
  );
});

test('smoothed selectors multiply before they divide', async () => {
  const queryable = data({ gauge: [0.1, undefined, undefined, 0.8] });
  const { value } = await instant('gauge smoothed', queryable, 1700);
  const [sample] = value.kind === 'vector' ? value.samples : [];
  assert.equal(sample?.value, 0.1 + (0.7000000000000001 * 1700) / 3000);
});

describe('equal annotations of several parts are told of the one evaluated last', () => {
  const queryable = data({ gauge: [1, 2, 3], 'b{le="1"}': [1], 'b{le="+Inf"}': [2] });
  const quantile = (place: string) =>
    `PromQL warning: quantile value should be between 0 and 1, got NaN (${place})`;
  const cases: [string, string][] = [
    ['histogram_quantile(scalar(histogram_quantile(NaN, b)), b)', '1:20'],
    ['histogram_quantile(NaN, b) + histogram_quantile(NaN, b)', '1:49'],
    ['quantile(NaN, quantile(NaN, gauge))', '1:10'],
  ];
  for (const [text, place] of cases) {
    test(text, async () => {
      assert.deepEqual((await instant(text, queryable)).promqlWarnings, [quantile(place)]);
    });
  }
});

test('a join keeps one annotation a step, that of its last pair', async () => {
  const queryable = data({
    'l{i="1"}': [1],
    'r{i="1"}': [histogram],
    'l{i="2"}': [histogram],
    'r{i="2"}': [histogram],
  });
  assert.deepEqual((await instant('l > r', queryable)).promqlInfos, [
    'PromQL info: incompatible sample types encountered for binary operator ">": histogram > histogram (1:1)',
  ]);
});

test('absent reads everything, for its annotations', async () => {
  const queryable = data({ 'm{i="1"}': [1, 2], 'm{i="2"}': [1, histogram] });
  const { promqlWarnings } = await instant('absent(irate(m[5s]))', queryable);
  assert.deepEqual(promqlWarnings, [
    'PromQL warning: encountered a mix of histograms and floats for metric name "m" (1:14)',
  ]);
});

test('timestamp with @ forgets the offset, but not what it selected', async () => {
  const queryable = data({ gauge: [1, 2, 3] });
  const seconds = async (text: string, timeMs: number) => {
    const { value } = await instant(text, queryable, timeMs);
    return value.kind === 'vector' && value.samples.map((sample) => sample.value);
  };
  assert.deepEqual(await seconds('timestamp(gauge @ 2 offset 1s)', 0), [1]);
  assert.deepEqual(await seconds('timestamp(gauge @ 300 offset 5m)', 0), []);
  assert.deepEqual(await seconds('timestamp(gauge @ 1 offset -1s)', 0), [1]);
});

test('sort says that it is without effect whenever the range is no instant', async () => {
  const query = { text: 'sort(gauge)', startMs: 0, endMs: 500, stepMs: 1000 };
  const { promqlWarnings } = await engine.range(query, data({ gauge: [1] }), context());
  assert.deepEqual(promqlWarnings, [
    'PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)',
  ]);
});

test('a negative zero is the quantile 0.0', async () => {
  const { value } = await instant(
    'histogram_quantiles(native, "q", 0.5, -0)',
    data({ native: [histogram] }),
  );
  const labels = value.kind === 'vector' && value.samples.map((sample) => sample.labels.get('q'));
  assert.deepEqual(labels, ['0.5', '0.0']);
});

describe('sums of floats and histograms', () => {
  const custom = (bounds: readonly number[]): FloatHistogram => ({
    ...histogram,
    schema: -53,
    zeroThreshold: 0,
    zeroCount: 0,
    count: 2,
    positiveSpans: [{ offset: 0, length: 2 }],
    positiveBuckets: Float64Array.of(1, 1),
    customValues: Float64Array.from(bounds),
  });
  const reconciled =
    'PromQL info: mismatched custom buckets were reconciled during aggregation (1:5)';

  test('say that bounds were reconciled though a float spoils the sum', async () => {
    const { promqlInfos } = await instant(
      'sum(m)',
      data({ 'm{i="1"}': [custom([1, 2])], 'm{i="2"}': [custom([1, 3])], 'm{i="3"}': [1] }),
    );
    assert.deepEqual(promqlInfos, [reconciled]);
  });

  test('say that bounds were reconciled though another kind of histogram spoils the sum', async () => {
    for (const name of ['sum', 'avg']) {
      const { promqlInfos, promqlWarnings } = await instant(
        `${name}(m)`,
        data({
          'm{i="1"}': [custom([1, 2])],
          'm{i="2"}': [custom([1, 3])],
          'm{i="3"}': [histogram],
        }),
      );
      assert.deepEqual(promqlInfos, [reconciled]);
      assert.deepEqual(promqlWarnings, [
        'PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas for metric name "m" (1:5)',
      ]);
    }
  });

  test('do not look at histograms behind a float', async () => {
    const { promqlInfos, promqlWarnings } = await instant(
      'sum(m)',
      data({ 'm{i="1"}': [1], 'm{i="2"}': [custom([1, 2])], 'm{i="3"}': [histogram] }),
    );
    assert.deepEqual(promqlInfos, []);
    assert.deepEqual(promqlWarnings, [
      'PromQL warning: encountered a mix of histograms and floats for aggregation (1:5)',
    ]);
  });
});

test('absent_over_time takes series that only their names tell apart', async () => {
  const { value } = await instant(
    'absent_over_time({__name__=~"a|b"}[5s:])',
    data({ a: [1, 2, 3], b: [1, 2, 3] }),
  );
  assert.deepEqual(value, { kind: 'vector', samples: [] });
});

test('a modifier that a function does not take is no matter where nothing is evaluated', async () => {
  for (const at of ['', ' @ start()']) {
    const text = `avg_over_time(quantile_over_time(1, m[5s] smoothed${at})[1s:10s])`;
    const { value } = await instant(text, data({ m: [1] }));
    assert.deepEqual(value, { kind: 'vector', samples: [] });
  }
});

describe('a duration that is wrong is named by the place of its operands', () => {
  const cases: [duration: string, place: string][] = [
    ['min_of(range(), -5m)', '14:26'],
    ['1m + max_of(-1m, -2m)', '7:27'],
    ['-max_of(1m, 2m)', '7:21'],
    ['(5m) - (10m)', '7:18'],
    ['((max_of(-1m, -2m)))', '16:24'],
  ];
  for (const [duration, place] of cases) {
    test(duration, async () => {
      const message = `${place}: duration must be greater than 0`;
      await assert.rejects(instant(`rate(m[${duration}])`, data({ m: [1] })), { message });
    });
  }
});

test('cosh and sinh overflow where half an exponential does', async () => {
  for (const [text, want] of [
    ['cosh(m)', Infinity],
    ['sinh(-m)', -Infinity],
  ] as const) {
    const { value } = await instant(text, data({ m: [710] }));
    assert.deepEqual(value.kind === 'vector' && value.samples.map((sample) => sample.value), [
      want,
    ]);
  }
});

describe('an instant query of limit_ratio answers in the order of a heap, group by group', () => {
  const queryable = data(
    Object.fromEntries(
      Array.from({ length: 12 }, (_, i) => [`m{g="${'ab'[i % 2]}", i="${i}"}`, [(i * 7) % 12]]),
    ),
  );
  const cases: [string, number[]][] = [
    ['limit_ratio(0.7, m)', [0, 2, 3, 8, 7, 11, 4]],
    ['limit_ratio by (g) (0.9, m)', [0, 4, 2, 10, 6, 8, 3, 5, 9, 11, 7]],
    ['limit_ratio by (g) (-0.6, m)', [2, 6, 4, 10, 8, 1, 5, 11, 9]],
  ];
  for (const [text, values] of cases) {
    test(text, async () => {
      const { value } = await instant(text, queryable, 0);
      assert.ok(value.kind === 'vector');
      assert.deepEqual(
        value.samples.map((sample) => sample.value),
        values,
      );
    });
  }
});
