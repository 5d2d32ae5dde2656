/**
 * A compactor that is killed again and again, over a directory and over a server of the S3 protocol: its
 * bucket ends as that of an undisturbed one, and nothing is left behind in it nor on its disk.
 * `HINDSIGHT_KILLS` sets how often for each (default 4; 30 take about five minutes).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { downloadBlock, emptyThanosMeta } from '#/blocks/block-files.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { randomInteger, seededRandom, systemRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { openBucket } from '#/objstore/open.ts';
import { S3Server } from '../src/objstore/testing/s3-server.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { freePort, temporaryDirectory } from './support/servers.ts';

const KILLS = Number(process.env['HINDSIGHT_KILLS'] ?? 4);
const HOUR_MS = 3_600_000;
const START_MS = Math.floor(1_700_000_000_000 / (336 * HOUR_MS)) * 336 * HOUR_MS;
const HOURS = 26;
const signal = new AbortController().signal;
const port = await freePort();

/** A bucket, and the directories of the compactor that works on it. */
interface World extends AsyncDisposable {
  readonly directory: string;
  readonly bucket: Bucket;
  /** For `--objstore.config`. */
  readonly objstore: string;
  readonly leaseFlags: readonly string[];
}

describe('hindsight compact, killed', () => {
  for (const type of ['FILESYSTEM', 'S3'] as const) {
    test(`${KILLS} times over ${type}, it ends as if it had not been`, async () => {
      const seed = Date.now();
      const random = seededRandom(seed);
      const start = performance.now();
      const want = await undisturbed(type);
      const wholeMs = performance.now() - start;
      let killed = 0;
      while (killed < KILLS) {
        await using world = await openWorld(type);
        let ended = false;
        while (!ended && killed < KILLS) {
          const child = compact(world);
          const afterMs = randomInteger(random, 300, wholeMs);
          const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
          const code = await finish(child);
          clearTimeout(timer);
          assert.ok(code === 0 || code === null, `exit code ${code}, seed ${seed}`);
          ended = code === 0;
          if (!ended) killed++;
        }
        assert.equal(await finish(compact(world)), 0);
        await checkEnd(world, want, `after ${killed} kills, seed ${seed}`);
      }
    });
  }
});

async function undisturbed(type: 'FILESYSTEM' | 'S3'): Promise<string[]> {
  await using world = await openWorld(type);
  assert.equal(await finish(compact(world)), 0);
  const contents = await contentsOf(world);
  const blocks = new Set(contents.map((line) => line.split(' {', 1).join()));
  assert.deepEqual(
    [...blocks],
    ['0-8 0', '0-8 300000', '16-24 0', '16-24 300000', '24-26 0', '8-16 0', '8-16 300000'],
  );
  return contents;
}

async function checkEnd(world: World, want: readonly string[], moment: string): Promise<void> {
  assert.deepEqual(await contentsOf(world), want, moment);
  for (const queue of ['compact', 'downsample']) {
    assert.deepEqual(await readdir(join(world.directory, 'data', queue)), [], `${queue} ${moment}`);
  }
}

async function openWorld(type: 'FILESYSTEM' | 'S3'): Promise<World> {
  await using opened = new AsyncDisposableStack();
  const { path: directory } = opened.use(await temporaryDirectory());
  const server = opened.use(await S3Server.start());
  const keys = { region: 'us-east-1', access_key: 'key', secret_key: 'secret' };
  const config =
    type === 'S3'
      ? { bucket: 'bucket', endpoint: server.endpoint, insecure: true, ...keys }
      : { directory: join(directory, 'bucket') };
  const objstore = JSON.stringify({ type, config });
  const effects = {
    disk: nodeDisk,
    clock: systemClock,
    random: systemRandom,
    log: new MemoryLog(),
    metrics: new Metrics(),
  };
  const bucket = opened.use(await openBucket({ source: 'test', text: objstore }, effects));
  await fillBucket(bucket, join(directory, 'made'));
  // A directory's lock outlives who is killed with it by a minute, which is too long to wait for here.
  const leaseFlags = type === 'S3' ? ['--compact.lease-ttl=3s'] : ['--no-compact.lease'];
  const owned = opened.move();
  return {
    directory,
    bucket,
    objstore,
    leaseFlags,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Blocks of two hours of counters with resets; the same for every world. */
async function fillBucket(bucket: Bucket, directory: string): Promise<void> {
  const random = seededRandom(5);
  for (let hour = 0; hour < HOURS; hour += 2) {
    const from = START_MS + hour * HOUR_MS;
    const to = from + 2 * HOUR_MS;
    const builder = new BlockBuilder();
    for (let i = 0; i < 20; i++) {
      const samples = builder.samples(Labels.fromObject({ __name__: 'requests_total', i: `${i}` }));
      let value = 0;
      for (let time = from; time < to; time += 30_000) {
        value = randomInteger(random, 0, 300) === 0 ? 0 : value + randomInteger(random, 0, 9);
        samples.pushFloat(time, value);
      }
    }
    const ulid = newUlid(to, random);
    const thanos = { ...emptyThanosMeta, labels: { cluster: 'a' }, source: 'sidecar' };
    await builder.write(nodeDisk, directory, { ulid, minTime: from, maxTime: to, thanos });
    const made = join(directory, ulid);
    await uploadBlock({ disk: nodeDisk, clock: systemClock, bucket, directory: made, signal });
  }
}

/** Starts a compactor that deletes at once what it has replaced. */
function compact(world: World) {
  return spawn(
    resolve(import.meta.dirname, '../bin/hindsight'),
    [
      'compact',
      `--objstore.config=${world.objstore}`,
      `--data-dir=${join(world.directory, 'data')}`,
      '--consistency-delay=0s',
      '--delete-delay=0s',
      ...world.leaseFlags,
      '--debug.max-compaction-level=2',
      '--downsampling.age-5m=8h',
      '--log.level=error',
      `--http-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
}

function finish(child: ReturnType<typeof compact>): Promise<number | null> {
  return new Promise((ended) => child.once('exit', (code) => ended(code)));
}

/** Every chunk of every block as text, sorted; there may be nothing but whole blocks without marks. */
async function contentsOf({ bucket, directory }: World): Promise<string[]> {
  const names = new Map<string, string[]>();
  for await (const { name } of bucket.list('', { recursive: true })) {
    const [id = ''] = name.split('/', 1);
    if (id !== 'hindsight') names.getOrInsert(id, []).push(name.slice(id.length + 1));
  }
  const contents: string[] = [];
  for (const [id, files] of names) {
    assert.deepEqual(
      files.sort(byText),
      ['chunks/000001', 'index', 'meta.json'],
      `objects of ${id}`,
    );
    const copy = join(directory, 'copies', id);
    const meta = await downloadBlock({ disk: nodeDisk, bucket, id, directory: copy, signal });
    const hour = (time: number) => (time - START_MS) / HOUR_MS;
    const resolution = meta.thanos?.downsample.resolution;
    const { numSeries, numSamples } = meta.stats;
    const block = `${hour(meta.minTime)}-${hour(meta.maxTime)} ${resolution}`;
    contents.push(`${block} {} ${numSeries} series ${numSamples} samples`);
    for await (const batch of streamSeries(await Block.open(nodeDisk, copy, signal))) {
      for (const { labels, chunks } of batch) {
        const bytes = chunks.map(({ data }) => Buffer.from(data).toString('base64'));
        contents.push(`${block} ${labels.toString()} ${bytes.join(' ')}`);
      }
    }
  }
  return contents.sort(byText);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}
