import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { queryWorkers } from '#/components/query-workers.ts';
import { MemoryBudget, unlimitedBudget } from '#/lib/memory-budget.ts';
import { WorkerPool } from '#/lib/worker-pool.ts';
import { Labels } from '#/model/labels.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import type { ShardAnswer, ShardRunner, ShardTask, Shards } from '#/promql/shards.ts';
import type { QueryableOptions } from '#/query/querier.ts';
import type { QueryContext } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import type { StoreSeries } from '#/storeapi/store.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { memoryStore, queryableOver } from './support/memory-store.ts';

const SAMPLES = 2000;
const INTERVAL_MS = 15_000;
const END_MS = SAMPLES * INTERVAL_MS;

const pool = queryWorkers(1);
after(() => pool[Symbol.asyncDispose]());
const small: Shards = { runner: pool, minWork: 0, batchBytes: 50_000 };

describe('a query on worker threads', () => {
  test('fails alone when its thread dies, and the next query gets a new one', async () => {
    const entry = new URL('./support/mortal-shard.worker.ts', import.meta.url);
    await using mortal = new WorkerPool<ShardTask, ShardAnswer>(entry, 1);
    const shards = { ...small, runner: mortal };
    const series = [...seriesOf('m', 40), ...seriesOf('poison', 40)];
    const want = await sumOf(ask(series, 'sum(rate(m[5m]))'));
    assert.equal(await sumOf(ask(series, 'sum(rate(m[5m]))', { shards })), want);
    await assert.rejects(ask(series, 'sum(rate(poison[5m]))', { shards }), {
      name: 'UnavailableError',
      message: /^a worker thread died in the middle of its work \(exit code 9\); ask again$/,
    });
    assert.equal(await sumOf(ask(series, 'sum(rate(m[5m]))', { shards })), want);
  });

  test('ends at once when it is canceled, and leaves the threads to others', async () => {
    const series = seriesOf('m', 400);
    const stop = new AbortController();
    let started = 0;
    const counting: ShardRunner = {
      size: 1,
      run(task, signal) {
        // With the third batch, some are done, one is with the thread, and some wait in line.
        if (++started === 3) setImmediate(() => stop.abort());
        return pool.run(task, signal);
      },
    };
    const shards = { ...small, runner: counting };
    const running = ask(series, 'sum(quantile_over_time(0.5, m[4h]))', {
      shards,
      signal: stop.signal,
    });
    let abortedAt = 0;
    stop.signal.addEventListener('abort', () => (abortedAt = performance.now()));
    await assert.rejects(running, {
      name: 'AbortError',
      message: 'query was canceled in expression evaluation',
    });
    assert.ok(performance.now() - abortedAt < 100, 'it ended within 100 ms');
    const startedThen = started;
    await ask(series.slice(0, 2), 'sum(m)', { shards: small });
    assert.equal(started, startedThen);
  });

  test('fails with damage where partial answers are not wanted, as it does without', async () => {
    const [healthy, broken] = seriesOf('m', 2);
    const chunks = broken!.chunks.map(({ raw, ...times }) => {
      return { ...times, raw: { encoding: raw!.encoding, data: raw!.data.subarray(0, 20) } };
    });
    const series = [healthy!, { labels: broken!.labels, chunks }];
    const options = { partialResponse: PartialResponse.Abort };
    const failure = { name: 'CorruptionError', message: /^series m\{i="1"\}: chunk from 0 to/ };
    await assert.rejects(ask(series, 'm', { options }), failure);
    await assert.rejects(ask(series, 'm', { options, shards: small }), failure);
  });

  test('is refused by its byte budget when a thread needs more', async () => {
    const series = seriesOf('m', 2).map(({ chunks }, i) => {
      return { labels: Labels.fromObject({ __name__: 'm', replica: `${i}` }), chunks };
    });
    // Enough for the chunks and what is sent, not for two replicas decoded.
    const refusal = {
      name: 'LimitError',
      message: /^query needs \d+ bytes of memory, over its limit of 80000; /,
    };
    const budget = () => new MemoryBudget({ what: 'query', limitBytes: 80_000 });
    const shards = { ...small, batchBytes: 1000 };
    await assert.rejects(ask(series, 'm', { budget: budget() }), refusal);
    await assert.rejects(ask(series, 'm', { budget: budget(), shards }), refusal);
  });

  test('is refused by the limit of samples as without threads', async () => {
    const series = seriesOf('m', 30);
    const refusal = { name: 'LimitError', message: /too many samples into memory/ };
    await assert.rejects(ask(series, 'rate(m[5m])', { maxSamples: 5000 }), refusal);
    await assert.rejects(ask(series, 'rate(m[5m])', { maxSamples: 5000, shards: small }), refusal);
  });

  test('is evaluated without them where its budget has no room for what is sent', async () => {
    const series = seriesOf('m', 30);
    const budget = () => new MemoryBudget({ what: 'query', limitBytes: 300_000 });
    const shards = { ...small, batchBytes: 1 << 20 };
    const got = ask(series, 'sum(rate(m[5m]))', { budget: budget(), shards });
    assert.equal(await sumOf(got), await sumOf(ask(series, 'sum(rate(m[5m]))')));
  });

  test('stays where it is if there is little to do', async () => {
    const never: ShardRunner = { size: 1, run: () => Promise.reject(new Error('was asked')) };
    const shards = { runner: never, minWork: 1_000_000 };
    await ask(seriesOf('m', 10), 'sum(rate(m[5m]))', { shards });
    await assert.rejects(ask(seriesOf('m', 600), 'sum(rate(m[5m]))', { shards }), /was asked/);
  });
});

interface Asking {
  readonly shards?: Shards;
  readonly signal?: AbortSignal;
  readonly budget?: MemoryBudget;
  readonly maxSamples?: number;
  readonly options?: Partial<QueryableOptions>;
}

async function ask(series: readonly StoreSeries[], text: string, asking: Asking = {}) {
  const engine = new Engine({
    lookbackMs: 300_000,
    maxSamples: asking.maxSamples ?? 0,
    defaultStepMs: () => 60_000,
    features: stableEngineFeatures,
    shards: asking.shards,
  });
  const context: QueryContext = {
    signal: asking.signal ?? new AbortController().signal,
    budget: asking.budget ?? unlimitedBudget(),
  };
  const queryable = queryableOver([memoryStore(series)], asking.options);
  return engine.range({ text, startMs: 0, endMs: END_MS, stepMs: 60_000 }, queryable, context);
}

async function sumOf(answer: ReturnType<typeof ask>): Promise<number> {
  const { value } = await answer;
  assert.ok(value.kind === 'matrix' && value.series.length === 1);
  return value.series[0]!.values.reduce((a, b) => a + b, 0);
}

function seriesOf(name: string, count: number): StoreSeries[] {
  return Array.from({ length: count }, (_, i) => {
    const samples = new SampleBuffer(SAMPLES);
    for (let k = 0; k < SAMPLES; k++) samples.pushFloat(k * INTERVAL_MS, (k * (i + 7)) % 1000);
    const chunks = encodeSamples(samples).map(({ mint, maxt, encoding, data }) => {
      return { mint, maxt, raw: { encoding, data } };
    });
    return { labels: Labels.fromObject({ __name__: name, i: `${i}` }), chunks };
  });
}
