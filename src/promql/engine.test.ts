import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
import { MemoryBudget, unlimitedBudget } from '#/lib/memory-budget.ts';
import { Labels } from '#/model/labels.ts';
import { MemoryQueryable } from '#/storage/memory-queryable.ts';
import type { Queryable } from '#/storage/queryable.ts';
import { EvaluationError } from './evaluation-error.ts';
import { Engine, stableEngineFeatures } from './engine.ts';
import type { Evaluation } from './value.ts';

const engine = new Engine({
  lookbackMs: 300_000,
  maxSamples: 0,
  defaultStepMs: () => 60_000,
  features: { ...stableEngineFeatures, experimentalFunctions: true },
});
const MINUTE = 60_000;

/** 3 jobs of 4 instances each, a counter a minute for an hour, the second half of one missing. */
function counters(): MemoryQueryable {
  const queryable = new MemoryQueryable();
  for (let i = 0; i < 12; i++) {
    const labels = { __name__: 'm_total', job: `j${i % 3}`, instance: `i${i}` };
    const samples = queryable.samples(Labels.fromObject(labels));
    const minutes = i === 5 ? 30 : 60;
    for (let minute = 0; minute <= minutes; minute++) {
      samples.pushFloat(minute * MINUTE, ((minute * (i + 1)) % 97) * 1.7);
    }
  }
  return queryable;
}

function context(signal = new AbortController().signal, budget = unlimitedBudget()) {
  return { signal, budget };
}

/** Samples as `labels time value`, sorted. */
function flat({ value }: Evaluation): string[] {
  if (value.kind === 'vector') {
    return value.samples
      .map(({ labels, timeMs, value: v }) => `${labels.toString()} ${timeMs} ${v}`)
      .sort();
  }
  assert.equal(value.kind, 'matrix');
  return value.series
    .flatMap(({ labels, times, values }) => {
      return Array.from(times, (time, i) => `${labels.toString()} ${time} ${values[i]}`);
    })
    .sort();
}

const expressions = [
  'm_total',
  'rate(m_total[5m])',
  'sum by (job) (rate(m_total[5m]))',
  'avg without (instance) (m_total)',
  'topk by (job) (2, m_total)',
  'quantile(0.3, m_total)',
  'count_values by (job) ("v", m_total)',
  'm_total / on (instance) group_left m_total offset 2m',
  'm_total > 50 and on (job) m_total{instance="i1"}',
  'm_total{job="j1"} or m_total{job="j2"}',
  'm_total unless on (job) m_total{instance="i5"}',
  'max_over_time(sum(rate(m_total[3m]))[10m:1m])',
  'sum(m_total @ 600) + time()',
  'absent(m_total{instance="i5"})',
  'clamp(m_total, 3, 20) * scalar(m_total{instance="i1"})',
  'label_replace(m_total, "x", "$1", "instance", "i(.*)")',
  'timestamp(m_total)',
  'limitk(3, m_total)',
  'm_total == bool 17',
];

for (const text of expressions) {
  test(`a range query at each step equals the instant query there: ${text}`, async () => {
    const queryable = counters();
    const range = { text, startMs: 0, endMs: 65 * MINUTE, stepMs: 5 * MINUTE };
    const instants: string[] = [];
    for (let timeMs = range.startMs; timeMs <= range.endMs; timeMs += range.stepMs) {
      instants.push(...flat(await engine.instant({ text, timeMs }, queryable, context())));
    }
    const ranged = flat(await engine.range(range, queryable, context()));
    assert.ok(ranged.length > 0);
    assert.deepEqual(ranged, instants.sort());
  });
}

test('sum() of groups of any size is the sum of their series', async () => {
  const queryable = new MemoryQueryable();
  for (let i = 0; i < 100; i++) {
    const labels = { __name__: 'm', big: 'all', small: `${i % 20}`, i: `${i}` };
    queryable.samples(Labels.fromObject(labels)).pushFloat(0, i * 1.5);
  }
  for (const [text, groups, perGroup] of [
    ['sum by (big) (m)', 1, 100],
    ['sum by (small) (m)', 20, 5],
  ] as const) {
    const { value } = await engine.instant({ text, timeMs: 0 }, queryable, context());
    assert.equal(value.kind, 'vector');
    assert.equal(value.samples.length, groups);
    const total = value.samples.reduce((sum, sample) => sum + sample.value, 0);
    assert.equal(total, (99 * 100 * 1.5) / 2);
    assert.equal(groups * perGroup, 100);
  }
});

test('a query over its byte budget fails and says so', async () => {
  const budget = new MemoryBudget({ what: 'query', limitBytes: 1000 });
  const range = { text: 'm_total', startMs: 0, endMs: 60 * MINUTE, stepMs: 1000 };
  await assert.rejects(engine.range(range, counters(), context(undefined, budget)), {
    name: 'LimitError',
    message: /over its limit of 1000/,
  });
});

test('a query over the limit of samples fails as in Prometheus', async () => {
  const limited = new Engine({
    lookbackMs: 300_000,
    maxSamples: 100,
    defaultStepMs: () => MINUTE,
    features: stableEngineFeatures,
  });
  const range = { text: 'm_total', startMs: 0, endMs: 60 * MINUTE, stepMs: MINUTE };
  await assert.rejects(limited.range(range, counters(), context()), {
    name: 'LimitError',
    message: 'query processing would load too many samples into memory in query execution',
  });
});

test('a query stops within 100 ms of being aborted', async () => {
  const queryable = new MemoryQueryable();
  for (let i = 0; i < 2000; i++) {
    const samples = queryable.samples(Labels.fromObject({ __name__: 'm', i: `${i}` }));
    for (let minute = 0; minute < 60; minute++) samples.pushFloat(minute * MINUTE, minute);
  }
  const controller = new AbortController();
  const range = { text: 'sum(rate(m[30m]))', startMs: 0, endMs: 3_600_000, stepMs: 1000 };
  const result = engine.range(range, queryable, context(controller.signal));
  // Time of the processor, so that a busy machine does not matter.
  let abortedAt = process.cpuUsage();
  setTimeout(() => {
    abortedAt = process.cpuUsage();
    controller.abort();
  }, 20);
  await assert.rejects(result, { name: 'AbortError' });
  const { user, system } = process.cpuUsage(abortedAt);
  assert.ok(user + system < 100_000);
});

test('duplicates on the one side of a join are an error with the names of both', async () => {
  const text = 'm_total * on (job) m_total';
  await assert.rejects(engine.instant({ text, timeMs: 0 }, counters(), context()), {
    name: 'EvaluationError',
    message:
      'found duplicate series for the match group {job="j1"} on the right hand-side of the operation: ' +
      '[{__name__="m_total", instance="i1", job="j1"}, {__name__="m_total", instance="i10", job="j1"}];' +
      'many-to-many matching not allowed: matching labels must be unique on one side',
  });
});

test('a failing branch of a query stops the others', async () => {
  const signals: AbortSignal[] = [];
  const inner = counters();
  const queryable: Queryable = {
    select(request, { signal }) {
      signals.push(signal);
      const isLeft = request.matchers.some(({ value }) => value === 'i1');
      return isLeft ? inner.select(request) : Promise.reject(new UnavailableError('store is gone'));
    },
    labelNames: (request) => inner.labelNames(request),
    labelValues: (name, request) => inner.labelValues(name, request),
  };
  const text = 'sum(m_total{instance="i1"}) + sum(m_total{instance="i2"})';
  await assert.rejects(engine.instant({ text, timeMs: 0 }, queryable, context()), {
    name: 'UnavailableError',
    message: 'store is gone',
  });
  assert.equal(signals.length, 2);
  assert.ok(signals.every((signal) => signal.aborted));
});

test('label names that are no UTF-8 are refused', async () => {
  const instant = (text: string) =>
    engine.instant({ text, timeMs: 0 }, new MemoryQueryable(), context());
  await assert.rejects(
    instant(String.raw`count_values("\xff", vector(1))`),
    new EvaluationError(String.raw`invalid label name "\xff"`),
  );
});
