import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { Labels } from '#/model/labels.ts';
import { MemoryQueryable } from '#/storage/memory-queryable.ts';
import type {
  LabelsRequest,
  Queryable,
  SelectRequest,
  Series,
  SeriesSet,
} from '#/storage/queryable.ts';
import type { OperatorAnalysis } from './analysis.ts';
import { Engine, stableEngineFeatures } from './engine.ts';

const range = { startMs: 0, endMs: 600_000, stepMs: 60_000 };

/** Every reading of the clock takes a millisecond, unless there is another. */
function newEngine(elapsedMs = tickingClock()): Engine {
  return new Engine({
    lookbackMs: 300_000,
    maxSamples: 0,
    defaultStepMs: () => 60_000,
    features: stableEngineFeatures,
    elapsedMs,
  });
}

function tickingClock(): () => number {
  let now = 0;
  return () => now++;
}

function twoSeries(): MemoryQueryable {
  const storage = new MemoryQueryable();
  for (const job of ['a', 'b']) {
    const samples = storage.samples(Labels.fromObject({ __name__: 'x', job }));
    for (let time = 0; time <= 600_000; time += 15_000) samples.pushFloat(time, time);
  }
  return storage;
}

async function analyze(text: string, queryable: Queryable = twoSeries()) {
  const context = { signal: new AbortController().signal, budget: unlimitedBudget() };
  const query = { text, ...range, analyze: true };
  const evaluation = await newEngine().range(query, queryable, context);
  assert.ok(evaluation.analysis !== undefined);
  return { ...evaluation, analysis: evaluation.analysis };
}

const everyNode = (node: OperatorAnalysis): OperatorAnalysis[] => [
  node,
  ...node.children.flatMap(everyNode),
];

const outline = ({ name, series, children }: OperatorAnalysis): unknown => [
  `${name.slice(1, name.indexOf(']'))} ${series}`,
  ...children.map(outline),
];

describe('analysis', () => {
  test('has the operators of the plan with the series that each gives', async () => {
    const { analysis } = await analyze('sum by (job) (rate(x[5m])) > 1 and topk(1, x)');
    assert.deepEqual(outline(analysis), [
      'binary 2',
      ['binary 2', ['aggregate 2', ['range-call 2']], ['number 1']],
      ['aggregate 1', ['selector 2'], ['number 1']],
    ]);
  });

  test('splits the time of a whole between an operator and its children', async () => {
    const { analysis } = await analyze('abs(sum(rate(x[5m])))');
    const nodes = everyNode(analysis);
    const selfTotal = nodes.reduce((sum, { selfMs }) => sum + selfMs, 0);
    assert.equal(selfTotal, analysis.totalMs);
    for (const { selfMs, totalMs } of nodes) assert.ok(selfMs > 0 && selfMs <= totalMs);
  });

  test('counts no time twice where children wait at once', async () => {
    const { analysis } = await analyze('x * on (job) (x offset 1m)');
    for (const { selfMs, totalMs, children } of everyNode(analysis)) {
      assert.ok(selfMs >= 0, `self time ${selfMs} of ${totalMs}`);
      for (const child of children) assert.ok(child.totalMs <= totalMs);
    }
  });

  test('counts the samples that the statistics count', async () => {
    for (const text of ['x', 'rate(x[5m])', 'max_over_time(x[5m:1m])', 'x + x', 'time()']) {
      const { analysis, stats } = await analyze(text);
      assert.equal(analysis.totalSamples, stats.totalQueryableSamples, text);
    }
  });

  test('has what each operator itself held of the memory of the query at its peak', async () => {
    const { analysis } = await analyze('topk(1, count_values("v", x)) * on () quantile(0.5, x)');
    const bytes = everyNode(analysis).map(({ name, peakBytes }) => [shortName(name), peakBytes]);
    const steps = 11;
    const column = 9 * steps;
    assert.deepEqual(bytes, [
      // The series of both sides, since every one may match.
      ['[binary] *', (11 + 1) * column],
      // A heap, which is given back, besides a column for each series of the answer.
      ['[aggregate] topk', 12 * steps + 11 * column],
      ['[aggregate] count_values', 11 * column],
      ['[selector] select', 0],
      ['[number] number', 0],
      ['[aggregate] quantile', 8 * 8 * steps],
      ['[selector] select', 0],
      ['[number] number', 0],
    ]);
  });

  test('names who answered each request', async () => {
    const storage = twoSeries();
    const source = { durationMs: 3, bytes: 10, responses: 1, series: 2, chunks: 2, samples: 82 };
    const queryable: Queryable = {
      labelNames: (request) => storage.labelNames(request),
      labelValues: (name, request) => storage.labelValues(name, request),
      select: (request: SelectRequest, { onSource }) => {
        onSource?.({ address: `for ${request.matchers[0]!.value}`, ...source });
        return storage.select(request);
      },
    };
    const { analysis } = await analyze('sum(x) / sum(y)', queryable);
    const found = everyNode(analysis).flatMap(({ name, sources }) =>
      sources.map(({ address }) => `${name.split(' ')[0]} ${address}`),
    );
    assert.deepEqual(found, ['[selector] for x', '[selector] for y']);
  });

  test('is not there unless asked for, and changes no answer', async () => {
    const context = { signal: new AbortController().signal, budget: unlimitedBudget() };
    const plain = await newEngine().range({ text: 'rate(x[5m])', ...range }, twoSeries(), context);
    assert.equal('analysis' in plain, false);
    const { value } = await analyze('rate(x[5m])');
    assert.deepEqual(value, plain.value);
  });
});

describe('the time of operators that wait at once', () => {
  test('is that of each, so it adds up to more than the whole took', async () => {
    const clock = { nowMs: 0 };
    const storage = new WaitingStorage(clock);
    const context = { signal: new AbortController().signal, budget: unlimitedBudget() };
    const query = { text: 'sum(x{job="a"}) / sum(x{job="b"})', ...range, analyze: true };
    const evaluation = newEngine(() => clock.nowMs).range(query, storage, context);
    await storage.answer({ atMs: 10, readMs: 2 });
    await storage.answer({ atMs: 30, readMs: 3 });
    const { analysis } = await evaluation;
    const times = everyNode(analysis!).map(
      ({ name, selfMs, totalMs }) => `${shortName(name)}: ${selfMs} of ${totalMs} ms`,
    );
    assert.deepEqual(times, [
      '[binary] /: 0 of 35 ms',
      '[aggregate] sum: 0 of 12 ms',
      '[selector] select: 12 of 12 ms',
      '[aggregate] sum: 0 of 33 ms',
      '[selector] select: 33 of 33 ms',
    ]);
  });
});

/** Answers requests one by one, in their order; moves the clock when it does and when it is read. */
class WaitingStorage implements Queryable {
  readonly #storage = twoSeries();
  readonly #clock: { nowMs: number };
  readonly #waiting: PromiseWithResolvers<number>[] = [];

  constructor(clock: { nowMs: number }) {
    this.#clock = clock;
  }

  async answer({ atMs, readMs }: { atMs: number; readMs: number }): Promise<void> {
    await nextTurn();
    this.#clock.nowMs = atMs;
    this.#waiting.shift()!.resolve(readMs);
    await nextTurn();
  }

  async select(request: SelectRequest): Promise<SeriesSet> {
    const answered = Promise.withResolvers<number>();
    this.#waiting.push(answered);
    const readMs = await answered.promise;
    const { series, warnings } = await this.#storage.select(request);
    return { series: series.map((one) => this.#slow(one, readMs)), warnings };
  }

  #slow(series: Series, readMs: number): Series {
    return {
      labels: series.labels,
      read: (mint, maxt, into) => {
        this.#clock.nowMs += readMs;
        series.read(mint, maxt, into);
      },
    };
  }

  labelNames(request: LabelsRequest) {
    return this.#storage.labelNames(request);
  }

  labelValues(name: string, request: LabelsRequest) {
    return this.#storage.labelValues(name, request);
  }
}

const shortName = (name: string) => name.split(' ', 2).join(' ');

describe('explain', () => {
  test('shows the logical plan, the passes that changed it, and what is asked of storage', () => {
    const { tree, passes, logicalPlan, optimizedPlan } = newEngine().explain({
      text: 'sum by (job) (rate(x{job="a"}[5m])) / (1 + 1)',
      ...range,
    });
    assert.equal(tree.name, '[binary] /');
    const rate = tree.children[0]!.children[0]!;
    assert.ok(rate.name.startsWith('[range-call] rate over {job="a",__name__="x"}'), rate.name);
    assert.deepEqual(rate.position, { start: 14, end: 34 });
    assert.deepEqual([rate.request!.mint, rate.request!.maxt], [-299_999, 600_000]);
    assert.deepEqual(
      passes.map(({ name, changed }) => `${name} ${changed}`),
      ['foldConstants true', 'pushMatchers false', 'mergeSelects false'],
    );
    assert.match(logicalPlan, /number 1/);
    assert.match(optimizedPlan, /number 2/);
  });

  test('refuses what the query would be refused for', () => {
    assert.throws(
      () => newEngine().explain({ text: 'x[5m]', ...range }),
      /invalid expression type/,
    );
    assert.throws(() => newEngine().explain({ text: 'x +', timeMs: 0 }), /unexpected end of input/);
  });
});
