/**
 * The compactor as users run it, over a directory as a bucket: a panel of queries answers the same
 * before and after, promtool opens what it wrote, and being killed at any moment changes nothing.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { blockIdOf, emptyThanosMeta } from '#/blocks/block-files.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { Labels } from '#/model/labels.ts';
import { FilesystemBucket } from '#/objstore/filesystem.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { BlockQueryable } from '#/tsdb/block-queryable.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { findProgram, freePort, temporaryDirectory } from './support/servers.ts';

const run = promisify(execFile);
const HOUR_MS = 3_600_000;
/** The start of an aligned range of two weeks, and how much of it there is. */
const START_MS = Math.floor(1_700_000_000_000 / (336 * HOUR_MS)) * 336 * HOUR_MS;
const HOURS = 56;
const KILLS = 6;
const signal = new AbortController().signal;
const port = await freePort();

const shared = await temporaryDirectory();
after(() => shared[Symbol.asyncDispose]());

before(async () => {
  await fillBucket(join(shared.path, 'original'));
});

describe('hindsight compact', () => {
  test('a panel answers the same before and after, and promtool opens every block', async () => {
    const world = await copyOf('panel');
    const earlier = await answersOf(world);
    assert.equal(await finish(compact(world)), 0);
    const blocks = await openBlocks(world);
    assert.deepEqual(blocks.map(describeBlock), [
      '0-48 raw',
      '0-48 5m',
      '48-50 raw',
      '50-52 raw',
      '52-54 raw',
      '54-56 raw',
    ]);
    const later = await answersOf(world);
    for (const [query, answer] of earlier) assert.deepEqual(later.get(query), answer, query);
    await checkWithPromtool(world, blocks);
  });

  test(`killed at ${KILLS} random moments, it ends where an undisturbed run does`, async () => {
    const calm = await copyOf('calm');
    const start = performance.now();
    assert.equal(await finish(compact(calm)), 0);
    const wholeMs = performance.now() - start;
    const want = await contentsOf(calm);
    const seed = Date.now();
    const random = seededRandom(seed);
    for (let i = 0; i < KILLS; i++) {
      const world = await copyOf(`killed-${i}`);
      const child = compact(world);
      const afterMs = randomInteger(random, wholeMs / 4, wholeMs);
      setTimeout(() => child.kill('SIGKILL'), afterMs);
      await finish(child);
      assert.equal(await finish(compact(world)), 0);
      const moment = `killed after ${afterMs} ms, seed ${seed}`;
      assert.deepEqual(await contentsOf(world), want, moment);
      await checkNothingLeft(world, moment);
    }
  });
});

async function checkNothingLeft(world: string, moment: string): Promise<void> {
  for (const name of await readdir(join(world, 'bucket'))) {
    if (blockIdOf(name) === undefined) continue;
    const files = await readdir(join(world, 'bucket', name));
    assert.ok(files.includes('meta.json'), `${name} is a partial block, ${moment}`);
  }
  for (const directory of ['data/compact', 'data/downsample']) {
    assert.deepEqual(await readdir(join(world, directory)), [], moment);
  }
}

/** 56 hours in blocks of two: counters with resets, gauges with gaps, native histograms. */
async function fillBucket(directory: string): Promise<void> {
  const random = seededRandom(5);
  const disk = nodeDisk;
  const bucket = new FilesystemBucket(directory, { disk, clock: systemClock, random });
  const values = new Map<string, number>();
  let observed = 0;
  for (let hour = 0; hour < HOURS; hour += 2) {
    const from = START_MS + hour * HOUR_MS;
    const to = from + 2 * HOUR_MS;
    const builder = new BlockBuilder();
    for (let i = 0; i < 24; i++) {
      const name = i % 2 === 0 ? 'requests_total' : 'temperature';
      const instance = `host-${i % 6}`;
      const samples = builder.samples(
        Labels.fromObject({ __name__: name, instance, shelf: `${i}` }),
      );
      const gap = randomInteger(random, 0, 20) === 0 ? from + HOUR_MS : Number.NaN;
      for (let time = from + i * 100; time < to; time += 60_000) {
        if (time > gap && time < gap + 900_000) continue;
        let value = (values.get(`${i}`) ?? 0) + randomInteger(random, 0, 9);
        if (i % 2 === 1) value = Math.sin(time / 1e6) * 20 + (i % 5);
        else if (randomInteger(random, 0, 500) === 0) value = 0;
        values.set(`${i}`, value);
        samples.pushFloat(time, value);
      }
    }
    const histograms = builder.samples(Labels.fromObject({ __name__: 'latency_seconds' }));
    for (let time = from; time < to; time += 60_000)
      histograms.pushHistogram(time, histogram(observed++));
    const ulid = newUlid(to, random);
    await builder.write(disk, shared.path, {
      ulid,
      minTime: from,
      maxTime: to,
      thanos: { ...emptyThanosMeta, labels: { cluster: 'a' }, source: 'sidecar' },
    });
    const made = join(shared.path, ulid);
    await uploadBlock({ disk, clock: systemClock, bucket, directory: made, signal });
    await rm(made, { recursive: true });
  }
}

function histogram(count: number): FloatHistogram {
  return {
    counterReset: CounterReset.Unknown,
    schema: 0,
    zeroThreshold: 0.001,
    zeroCount: count,
    count: 3 * count,
    sum: 1.5 * count,
    positiveSpans: [{ offset: 0, length: 2 }],
    positiveBuckets: Float64Array.of(count, count),
    negativeSpans: [],
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
  };
}

async function copyOf(name: string): Promise<string> {
  const world = join(shared.path, name);
  await mkdir(world);
  await cp(join(shared.path, 'original'), join(world, 'bucket'), { recursive: true });
  return world;
}

/** Starts a compactor on the world's bucket, in a process of its own. */
function compact(world: string) {
  const config = { type: 'FILESYSTEM', config: { directory: join(world, 'bucket') } };
  return spawn(
    resolve(import.meta.dirname, '../bin/hindsight'),
    [
      'compact',
      `--objstore.config=${JSON.stringify(config)}`,
      `--data-dir=${join(world, 'data')}`,
      '--consistency-delay=0s',
      '--no-compact.lease',
      '--log.level=error',
      `--http-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
}

function finish(child: ReturnType<typeof compact>): Promise<number | null> {
  return new Promise((ended) => child.once('exit', (code) => ended(code)));
}

/** The blocks that are not marked for deletion, by time and resolution. */
async function openBlocks(world: string): Promise<Block[]> {
  const bucket = join(world, 'bucket');
  const blocks: Block[] = [];
  for (const name of await readdir(bucket)) {
    if (blockIdOf(name) === undefined) continue;
    const files = await readdir(join(bucket, name));
    if (!files.includes('meta.json') || files.includes('deletion-mark.json')) continue;
    blocks.push(await Block.open(nodeDisk, join(bucket, name)));
  }
  return blocks.sort(
    (a, b) => a.meta.minTime - b.meta.minTime || resolutionOf(a) - resolutionOf(b),
  );
}

function resolutionOf({ meta }: Block): number {
  return meta.thanos!.downsample.resolution;
}

function describeBlock(block: Block): string {
  const hour = (time: number) => (time - START_MS) / HOUR_MS;
  const { minTime, maxTime } = block.meta;
  return `${hour(minTime)}-${hour(maxTime)} ${resolutionOf(block) === 0 ? 'raw' : '5m'}`;
}

/** Every chunk of every block, as text. */
async function contentsOf(world: string): Promise<string[]> {
  const contents: string[] = [];
  for (const block of await openBlocks(world)) {
    for await (const batch of streamSeries(block)) {
      for (const { labels, chunks } of batch) {
        const data = chunks.map((chunk) => Buffer.from(chunk.data).toString('base64'));
        contents.push(`${describeBlock(block)} ${labels.toMetricString()} ${data.join(' ')}`);
      }
    }
  }
  return contents;
}

const expressions = [
  'temperature',
  'sum by (instance) (temperature)',
  'avg(temperature)',
  'max by (instance) (temperature)',
  'min(temperature)',
  'count(temperature)',
  'topk(3, temperature)',
  'quantile(0.9, temperature)',
  'stddev(temperature)',
  'avg_over_time(temperature[10m])',
  'max_over_time(temperature[1h])',
  'deriv(temperature[30m])',
  'rate(requests_total[5m])',
  'sum by (instance) (rate(requests_total[5m]))',
  'increase(requests_total[1h])',
  'irate(requests_total[5m])',
  'resets(requests_total[1h])',
  'sum(requests_total) / count(requests_total)',
  'histogram_quantile(0.9, rate(latency_seconds[5m]))',
  'histogram_count(latency_seconds)',
];
const ranges = [
  { fromHour: 0, toHour: HOURS, stepMs: 600_000 },
  { fromHour: 7, toHour: 9, stepMs: 15_000 },
  { fromHour: 46, toHour: 50, stepMs: 60_000 },
];

/** What the raw blocks answer to a panel of 60 queries. */
async function answersOf(world: string): Promise<Map<string, unknown>> {
  const engine = new Engine({
    lookbackMs: 300_000,
    maxSamples: 0,
    defaultStepMs: () => 60_000,
    features: stableEngineFeatures,
  });
  const raw = (await openBlocks(world)).filter((block) => resolutionOf(block) === 0);
  const queryable = new BlockQueryable(raw);
  const answers = new Map<string, unknown>();
  for (const text of expressions) {
    for (const { fromHour, toHour, stepMs } of ranges) {
      const startMs = START_MS + fromHour * HOUR_MS;
      const endMs = START_MS + toHour * HOUR_MS - 1;
      const context = { signal, budget: unlimitedBudget() };
      const { value } = await engine.range({ text, startMs, endMs, stepMs }, queryable, context);
      answers.set(`${text} over [${fromHour} h, ${toHour} h]`, value);
    }
  }
  return answers;
}

async function checkWithPromtool(world: string, blocks: readonly Block[]): Promise<void> {
  const promtool = findProgram('promtool');
  if (promtool === undefined) return;
  const directory = join(world, 'tsdb');
  for (const { meta } of blocks) {
    await cp(join(world, 'bucket', meta.ulid), join(directory, meta.ulid), { recursive: true });
  }
  const { stdout } = await run(promtool, ['tsdb', 'list', directory]);
  for (const { meta } of blocks) assert.match(stdout, new RegExp(`^${meta.ulid} `, 'm'));
  const [large] = blocks;
  const analysis = await run(promtool, ['tsdb', 'analyze', directory, large!.meta.ulid]);
  assert.match(analysis.stdout, /Series: 25\n/);
}
