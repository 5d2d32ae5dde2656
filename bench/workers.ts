/**
 * What worker threads do for queries over encoded chunks, a day at 15 s a series with steps of a
 * minute: time from call to answer evaluated here, with one worker and with two, each as a ratio to
 * here, and the longest time that the event loop was held up meanwhile.
 * Run: `npx node bench/workers.ts [series …]`, 1,000 and 10,000 of them unless given.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { queryWorkers } from '#/components/query-workers.ts';
import { MemoryBudget } from '#/lib/memory-budget.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import type { ShardRunner } from '#/promql/shards.ts';
import type { Queryable } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { AggregateChunk } from '#/storeapi/store.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { memoryStore, queryableOver } from '../test/support/memory-store.ts';

const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1000, 10_000];
const SAMPLES = 5760;
const INTERVAL_MS = 15_000;
const START_MS = 1.7e12;
const END_MS = START_MS + SAMPLES * INTERVAL_MS;
/** Series share these shapes, so that the data fits into memory. */
const SHAPES = 200;
const ROUNDS = 5;

const queries = [
  { text: 'sum by (job) (rate(m_total[5m]))', stepMs: 60_000 },
  { text: 'sum by (instance) (rate(m_total[5m]))', stepMs: 60_000 },
  { text: 'topk(5, m_total)', stepMs: 60_000 },
  { text: 'rate(m_total[5m])', stepMs: 300_000 },
  { text: 'sum by (job) (rate(m_total[5m]))', stepMs: 0 },
];

await using one = queryWorkers(1);
await using two = queryWorkers(2);
const ways: { name: string; runner: ShardRunner | undefined }[] = [
  { name: 'here', runner: undefined },
  { name: '1 worker', runner: one },
  { name: '2 workers', runner: two },
];
const shapes = Array.from({ length: SHAPES }, (_, seed) => counterChunks(seed));

for (const count of counts) {
  const queryable = newQueryable(count);
  for (const { text, stepMs } of queries) {
    process.stdout.write(`${count} series, ${stepMs === 0 ? 'instant' : 'range'}: ${text}\n`);
    await compare(queryable, text, stepMs);
  }
}

/** The ways take turns, so that what else the machine does hits all of them. */
async function compare(queryable: Queryable, text: string, stepMs: number): Promise<void> {
  const results = ways.map(() => ({ ms: [] as number[], delays: [] as number[] }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { runner }] of ways.entries()) {
      const { ms, delayMs } = await measure(queryable, { text, stepMs }, runner);
      results[i]!.ms.push(ms);
      results[i]!.delays.push(delayMs);
    }
  }
  const base = median(results[0]!.ms);
  for (const [i, { ms, delays }] of results.entries()) {
    const ratio = base / median(ms);
    process.stdout.write(
      `${median(ms).toFixed(0).padStart(7)} ms  ${ratio.toFixed(2)}x  ` +
        `longest delay ${median(delays).toFixed(0).padStart(4)} ms  ${ways[i]!.name}\n`,
    );
  }
}

async function measure(
  queryable: Queryable,
  { text, stepMs }: { readonly text: string; readonly stepMs: number },
  runner: ShardRunner | undefined,
): Promise<{ ms: number; delayMs: number }> {
  const engine = new Engine({
    lookbackMs: 300_000,
    maxSamples: 0,
    defaultStepMs: () => 60_000,
    features: stableEngineFeatures,
    ...(runner === undefined ? {} : { shards: { runner, minWork: 0 } }),
  });
  const budget = new MemoryBudget({ what: 'query', limitBytes: Number.POSITIVE_INFINITY });
  const context = { signal: new AbortController().signal, budget };
  using delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const start = performance.now();
  if (stepMs === 0) await engine.instant({ text, timeMs: END_MS }, queryable, context);
  else await engine.range({ text, startMs: START_MS, endMs: END_MS, stepMs }, queryable, context);
  return { ms: performance.now() - start, delayMs: delay.max / 1e6 };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

function newQueryable(count: number): Queryable {
  const series = Array.from({ length: count }, (_, i) => ({
    labels: Labels.fromObject({
      __name__: 'm_total',
      job: `job${i % 10}`,
      instance: `host${i >> 2}`,
      i: `${i}`,
    }),
    chunks: shapes[i % SHAPES]!,
  }));
  return queryableOver([memoryStore(series)], { replicaLabels: [] });
}

/** A counter with jitter in time, that starts anew now and then. */
function counterChunks(seed: number): AggregateChunk[] {
  const random = seededRandom(seed + 1);
  const samples = new SampleBuffer(SAMPLES);
  let value = 0;
  for (let i = 0; i < SAMPLES; i++) {
    value = randomInteger(random, 0, 2000) === 0 ? 0 : value + randomInteger(random, 0, 100);
    samples.pushFloat(START_MS + i * INTERVAL_MS + randomInteger(random, -20, 20), value);
  }
  return encodeSamples(samples).map(({ mint, maxt, encoding, data }) => {
    return { mint, maxt, raw: { encoding, data } };
  });
}
