/**
 * How fast whole queries run over encoded chunks in memory, a day at 15 s a series with steps of a
 * minute: time of the processor, samples decoded a second, what a query held in counted buffers, and what the process did.
 * Run: `npx node bench/engine.ts [series]`, 10,000 of them unless given.
 */
import { MemoryBudget } from '#/lib/memory-budget.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import type { Queryable, SelectRequest, Series } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';

const SERIES = Number(process.argv[2] ?? 10_000);
const SAMPLES = 5760;
const INTERVAL_MS = 15_000;
const START_MS = 1.7e12;
/** Series share these shapes, so that the data fits into memory. */
const SHAPES = 200;
const ROUNDS = 3;

const queries = [
  'sum by (job) (rate(m_total[5m]))',
  'sum by (job) (m_total)',
  'sum by (instance) (rate(m_total[5m]))',
  'max(avg_over_time(m_total[10m]))',
  'topk(5, m_total)',
  'sum by (job) (rate(m_total[5m])) / sum by (job) (m_total)',
];

const engine = new Engine({
  lookbackMs: 300_000,
  maxSamples: 0,
  defaultStepMs: () => 60_000,
  features: stableEngineFeatures,
});

const queryable = newQueryable();
for (const text of queries) {
  const rounds: { ms: number; bytes: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) rounds.push(await measure(text));
  const { ms, bytes } = rounds.toSorted((a, b) => a.ms - b.ms)[ROUNDS >> 1]!;
  const perSecond = (SERIES * SAMPLES) / ms / 1000;
  process.stdout.write(
    `${ms.toFixed(0).padStart(7)} ms  ${perSecond.toFixed(1).padStart(6)} M samples/s  ` +
      `${(bytes / 1e6).toFixed(1).padStart(6)} MB counted  ${text}\n`,
  );
}
const { maxRSS } = process.resourceUsage();
process.stdout.write(`peak resident memory ${(maxRSS / 1000).toFixed(0)} MB\n`);

async function measure(text: string): Promise<{ ms: number; bytes: number }> {
  const budget = new MemoryBudget({ what: 'query', limitBytes: Number.POSITIVE_INFINITY });
  const context = { signal: new AbortController().signal, budget };
  const endMs = START_MS + SAMPLES * INTERVAL_MS;
  const start = process.cpuUsage();
  await engine.range({ text, startMs: START_MS, endMs, stepMs: 60_000 }, queryable, context);
  const { user, system } = process.cpuUsage(start);
  return { ms: (user + system) / 1000, bytes: budget.peakBytes };
}

function newQueryable(): Queryable {
  const shapes = Array.from({ length: SHAPES }, (_, seed) => counterChunks(seed));
  const series = Array.from({ length: SERIES }, (_, i): Series => {
    const chunks = shapes[i % SHAPES]!;
    const labels = {
      __name__: 'm_total',
      job: `job${i % 10}`,
      instance: `host${i >> 2}`,
      i: `${i}`,
    };
    return {
      labels: Labels.fromObject(labels),
      read(mint, maxt, into) {
        for (const chunk of chunks) {
          if (chunk.maxt >= mint && chunk.mint <= maxt) decodeChunk(chunk, mint, maxt, into);
        }
      },
    };
  });
  const select = ({ matchers }: SelectRequest) =>
    Promise.resolve({
      series: series.filter(({ labels }) => matchesAll(matchers, labels)),
      warnings: [],
    });
  const none = () => Promise.resolve({ names: [], warnings: [] });
  return { select, labelNames: none, labelValues: none };
}

/** A counter with jitter in time, that starts anew now and then. */
function counterChunks(seed: number): TimedChunk[] {
  const random = seededRandom(seed + 1);
  const samples = new SampleBuffer(SAMPLES);
  let value = 0;
  for (let i = 0; i < SAMPLES; i++) {
    value = randomInteger(random, 0, 2000) === 0 ? 0 : value + randomInteger(random, 0, 100);
    samples.pushFloat(START_MS + i * INTERVAL_MS + randomInteger(random, -20, 20), value);
  }
  return encodeSamples(samples);
}
