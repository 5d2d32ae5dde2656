import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { valueJson } from '#/api/value-json.ts';
import { queryWorkers } from '#/components/query-workers.ts';
import { messageOf } from '#/lib/errors.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { newMatcher } from '#/model/matcher.ts';
import { Engine } from '#/promql/engine.ts';
import { evaluateShard } from '#/promql/shards.ts';
import type { ShardRunner, Shards } from '#/promql/shards.ts';
import { openSeries } from '#/query/open-series.ts';
import { Completeness } from '#/query/partial-response.ts';
import type { QueryableOptions } from '#/query/querier.ts';
import type { Queryable } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { Store, StoreSeries } from '#/storeapi/store.ts';
import { BlockQueryable, openBlockSeries } from '#/tsdb/block-queryable.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { memoryStore, queryableOver } from '../support/memory-store.ts';
import { engineOptions } from './answers.ts';
import { endMs, startMs, writeBlocks } from './data-set.ts';
import { textOf } from './query-tree.ts';
import { randomQuery, randomTimes } from './random-query.ts';
import type { QueryTimes } from './random-query.ts';

const QUERIES = 150;

/** As threads do it, without threads: copies both ways, answers out of order. */
const here: ShardRunner = {
  size: 2,
  async run(task) {
    const opener = task.reading.kind === 'block' ? openBlockSeries : openSeries;
    const answer = await evaluateShard(structuredClone(task), opener);
    for (let turns = task.labels.length % 3; turns > 0; turns--) await Promise.resolve();
    return structuredClone(answer);
  },
};

/** Where series are evaluated must not change an answer: not a digit, annotation, count or error. */
describe('random queries are answered alike', () => {
  let blocks: BlockQueryable;
  let store: Store;
  const one = queryWorkers(1);
  const two = queryWorkers(2);

  before(async () => {
    blocks = new BlockQueryable(await writeBlocks(new MemoryDisk(), '/data'));
    store = await replicatedStore(blocks);
  });
  after(async () => {
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
  });

  const replicas = (options: Partial<QueryableOptions>) => (completeness: Completeness) =>
    queryableOver([store], { ...options, completeness });
  const sources: [string, (completeness: Completeness) => Queryable][] = [
    ['replicas under sticky', replicas({ algorithm: 'sticky' })],
    ['replicas under penalty', replicas({ algorithm: 'penalty' })],
    ['replicas under chain', replicas({ algorithm: 'chain' })],
    ['replicas as they are', replicas({ dedup: false })],
    ['blocks', () => blocks],
  ];
  const ways: [string, Shards][] = [
    ['a series a task', { runner: here, minWork: 0, batchBytes: 1 }],
    ['one worker', { runner: one, minWork: 0, batchBytes: 10_000 }],
    ['two workers', { runner: two, minWork: 0, batchBytes: 10_000 }],
  ];
  for (const [number, [source, openSource]] of sources.entries()) {
    test(`without workers and with them, over ${source}`, async () => {
      for (let i = 0; i < QUERIES; i++) {
        const seed = 1_000_000 * (number + 1) + i;
        const random = seededRandom(seed);
        const times = randomTimes(random);
        const text = textOf(randomQuery(random));
        const want = await answer(openSource, { text, times });
        for (const [way, shards] of ways) {
          const got = await answer(openSource, { text, times }, shards);
          assertSame(got, want, `seed ${seed}, ${way}: ${text}`);
        }
      }
    });
  }
});

/** Answers are long: only where they begin to differ is worth reading. */
function assertSame(got: string, want: string, what: string): void {
  let at = 0;
  while (at < got.length && got[at] === want[at]) at++;
  const around = [Math.max(0, at - 100), at + 200] as const;
  assert.equal(got.slice(...around), want.slice(...around), what);
}

/** The whole evaluation as text, but for the bytes it took, which do depend on who works. */
async function answer(
  openSource: (completeness: Completeness) => Queryable,
  { text, times }: { readonly text: string; readonly times: QueryTimes },
  shards?: Shards,
): Promise<string> {
  const completeness = new Completeness();
  const queryable = openSource(completeness);
  const engine = new Engine({ ...engineOptions, ...(shards === undefined ? {} : { shards }) });
  const context = { signal: new AbortController().signal, budget: unlimitedBudget() };
  try {
    const { value, stats, ...messages } = await evaluate(engine, queryable, context, text, times);
    const { totalQueryableSamples, peakSamples } = stats;
    const rest = { ...messages, totalQueryableSamples, peakSamples, damage: completeness.damage };
    return [...valueJson(value)].join('') + JSON.stringify(rest);
  } catch (thrown) {
    return `${thrown instanceof Error ? thrown.name : ''}: ${messageOf(thrown)}`;
  }
}

function evaluate(
  engine: Engine,
  queryable: Queryable,
  context: Parameters<Engine['instant']>[2],
  text: string,
  { startMs: start, endMs: end, stepMs }: QueryTimes,
) {
  return stepMs === 0
    ? engine.instant({ text, timeMs: start }, queryable, context)
    : engine.range({ text, startMs: start, endMs: end, stepMs }, queryable, context);
}

/** The data of the random queries as two replicas, each with gaps, and chunks that are damaged. */
async function replicatedStore(blocks: BlockQueryable): Promise<Store> {
  const context = { signal: new AbortController().signal, budget: unlimitedBudget() };
  const matchers = [newMatcher('=~', '__name__', '.+')];
  const hints = { stepMs: 0, rangeMs: 0, func: '', limit: 0 };
  const { series } = await blocks.select({ matchers, mint: startMs, maxt: endMs, hints }, context);
  const random = seededRandom(5);
  const replicas = series.flatMap(({ labels }, i): StoreSeries[] => {
    const samples = new SampleBuffer();
    series[i]!.read(startMs, endMs, samples);
    return ['a', 'b'].map((replica) => {
      const kept = withGaps(samples, random, replica === 'a' ? 0 : randomInteger(random, 0, 9000));
      const chunks = encodeSamples(kept).map(({ mint, maxt, encoding, data }) => {
        const isDamaged = random.next() < 0.002;
        const raw = { encoding, data: isDamaged ? data.subarray(0, data.length >> 1) : data };
        return { mint, maxt, raw };
      });
      return { labels: labels.with('replica', replica), chunks };
    });
  });
  return memoryStore(replicas);
}

function withGaps(samples: SampleBuffer, random: ReturnType<typeof seededRandom>, lateMs: number) {
  const kept = new SampleBuffer();
  let gapUntil = 0;
  for (let i = 0; i < samples.length; i++) {
    if (random.next() < 0.01) gapUntil = i + randomInteger(random, 1, 12);
    if (i < gapUntil) continue;
    kept.pushFrom(samples, i);
    kept.times[kept.length - 1]! += lateMs;
  }
  return kept;
}
