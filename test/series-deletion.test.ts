/**
 * The life of a deletion of series, with the programs as users run them over a directory as a bucket: the
 * store gateway honours it while it is in every block, the compactor takes it out of the blocks, and promtool
 * opens these.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { blockIdOf, emptyThanosMeta } from '#/blocks/block-files.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import { startProcess } from '#/components/child-process.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { systemRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { FilesystemBucket } from '#/objstore/filesystem.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { startStoreAndQuery } from './support/hindsight.ts';
import {
  eventually,
  findProgram,
  freePort,
  getJson,
  temporaryDirectory,
} from './support/servers.ts';

const run = promisify(execFile);
const hindsight = resolve(import.meta.dirname, '../bin/hindsight');
const HOUR_MS = 3_600_000;
const STEP_MS = 60_000;
const START_MS = Math.floor(1_700_000_000_000 / (336 * HOUR_MS)) * 336 * HOUR_MS;
/** Enough for a block of two days, which is downsampled, and one of two hours. */
const HOURS = 52;
/** Of the secret, this is deleted: it begins and ends in the middle of a block of two days. */
const DELETED = { mint: START_MS + 10 * HOUR_MS, maxt: START_MS + 20 * HOUR_MS + 1 };
const names = ['secret', 'public'];
const signal = new AbortController().signal;

test('what was deleted is out of the next answers, and in the end out of the bucket', async () => {
  await using directory = await temporaryDirectory();
  const world = new World(directory.path);
  await world.fill();
  await world.compact();
  assert.deepEqual(await world.describe(), ['0-48 0', '0-48 300000', '48-50 0', '50-52 0']);
  await using served = await startStoreAndQuery({
    directory: world.directory,
    storeFlags: ['--store.deletion-sync-interval=1s', '--sync-block-duration=1s'],
  });
  const panel = (name: string) => samplesPerHour(served.url, name);
  const whole = await panel('public');
  assert.deepEqual(
    whole.raw,
    Array.from({ length: HOURS }, () => 60),
  );
  assert.deepEqual(await panel('secret'), whole);

  await world.withCompactor(async (url) => {
    const wanted = new URLSearchParams({
      'match[]': 'secret{cluster="a"}',
      start: String(DELETED.mint / 1000),
      end: String(DELETED.maxt / 1000),
    });
    const path = `${url}/api/v1/admin/tsdb/delete_series`;
    const dry = await fetch(path, {
      method: 'POST',
      body: new URLSearchParams([...wanted, ['dry_run', '1']]),
    });
    const { data } = (await dry.json()) as { data: { blocks: { resolution: number }[] } };
    assert.deepEqual(
      data.blocks.map(({ resolution }) => resolution).sort((a, b) => a - b),
      [0, 300_000],
    );
    assert.deepEqual(await panel('secret'), whole, 'a dry run deletes nothing');
    const done = await fetch(path, { method: 'PUT', body: wanted });
    assert.equal(done.status, 204, await done.text());
  });
  const left = await eventually('an answer without what was deleted', async () => {
    const found = await panel('secret');
    return found.raw[12] === 0 ? found : undefined;
  });
  const hours = (from: number, to: number) =>
    Array.from({ length: HOURS }, (_, i): number => (i < from || i >= to ? 60 : 0));
  assert.deepEqual(left.raw, hours(10, 20).with(20, 59));
  assert.deepEqual(left.fiveMinutes, hours(10, 20).with(20, 55));
  assert.deepEqual(await panel('public'), whole);
  assert.equal(await world.secretsLeft(), 601, 'the compactor has not been at it yet');

  await world.compact();
  assert.deepEqual(await world.describe(), ['0-48 0', '0-48 300000', '48-50 0', '50-52 0']);
  assert.equal(await world.secretsLeft(), 0);
  assert.match(await world.tool(['--list', '--output=tsv']), /\tapplied\t/);
  await world.checkWithPromtool();
  await eventually('the blocks that were written anew', async () => {
    const metrics = await (await fetch(`http://${served.storeHttp}/metrics`)).text();
    return /^thanos_bucket_store_block_drops_total [1-9]/m.test(metrics) ? true : undefined;
  });
  assert.deepEqual(await panel('secret'), left);
  assert.deepEqual(await panel('public'), whole);
});

/** How many samples a series has in each hour, in raw data and in windows of five minutes. */
async function samplesPerHour(url: string, name: string) {
  const ask = async (resolution: string) => {
    const counts: number[] = [];
    const asked = new URLSearchParams({
      query: `count_over_time(${name}[1h])`,
      start: String((START_MS + HOUR_MS - 1) / 1000),
      end: String((START_MS + HOURS * HOUR_MS - 1) / 1000),
      step: '1h',
      max_source_resolution: resolution,
    });
    const answer = (await getJson(`${url}/api/v1/query_range?${asked.toString()}`)) as {
      readonly data: {
        readonly result: readonly { readonly values: readonly [number, string][] }[];
      };
      readonly warnings?: readonly string[];
    };
    assert.equal(answer.warnings, undefined);
    for (let i = 0; i < HOURS; i++) counts.push(0);
    for (const [time, value] of answer.data.result[0]?.values ?? []) {
      counts[Math.floor((time * 1000 - START_MS) / HOUR_MS)] = Number(value);
    }
    return counts;
  };
  return { raw: await ask('0'), fiveMinutes: await ask('5m') };
}

/** A bucket in a directory, and the programs that write to it. */
class World {
  readonly directory: string;
  readonly #bucketDirectory: string;
  readonly #objstore: string;

  constructor(directory: string) {
    this.directory = directory;
    this.#bucketDirectory = join(directory, 'data');
    const config = { type: 'FILESYSTEM', config: { directory: this.#bucketDirectory } };
    this.#objstore = `--objstore.config=${JSON.stringify(config)}`;
  }

  async fill(): Promise<void> {
    const effects = { disk: nodeDisk, clock: systemClock, random: systemRandom };
    const bucket = new FilesystemBucket(this.#bucketDirectory, effects);
    const made = join(this.directory, 'made');
    for (let hour = 0; hour < HOURS; hour += 2) {
      const from = START_MS + hour * HOUR_MS;
      const builder = new BlockBuilder();
      for (const name of names) {
        const samples = builder.samples(Labels.fromObject({ __name__: name }));
        for (let time = from; time < from + 2 * HOUR_MS; time += STEP_MS)
          samples.pushFloat(time, time);
      }
      const ulid = newUlid(from, systemRandom);
      const thanos = { ...emptyThanosMeta, labels: { cluster: 'a' }, source: 'sidecar' };
      await builder.write(nodeDisk, made, {
        ulid,
        minTime: from,
        maxTime: from + 2 * HOUR_MS,
        thanos,
      });
      await uploadBlock({ ...effects, bucket, directory: join(made, ulid), signal });
    }
  }

  /** Runs a compactor until there is nothing left to do. */
  async compact(): Promise<void> {
    await run(hindsight, ['compact', ...this.#compactFlags(`127.0.0.1:${await freePort()}`)]);
  }

  /** With a compactor that has looked at the bucket and will not do so again. */
  async withCompactor(work: (url: string) => Promise<void>): Promise<void> {
    const address = `127.0.0.1:${await freePort()}`;
    const flags = ['--wait', '--wait-interval=1h', '--web.enable-admin-api'];
    await using compactor = await startProcess({
      command: hindsight,
      args: ['compact', ...this.#compactFlags(address), ...flags],
      readyUrl: `http://${address}/-/ready`,
    });
    await work(`http://${address}`);
    assert.ok(compactor.isRunning, compactor.output);
  }

  #compactFlags(address: string): string[] {
    return [
      this.#objstore,
      `--data-dir=${join(this.directory, 'compact')}`,
      `--http-address=${address}`,
      '--consistency-delay=0s',
      '--delete-delay=0s',
      '--no-compact.lease',
      '--log.level=warn',
    ];
  }

  async tool(flags: readonly string[]): Promise<string> {
    const args = ['tools', 'bucket', 'delete-series', this.#objstore, ...flags];
    return (await run(hindsight, args)).stdout;
  }

  /** The whole blocks that are not marked for deletion. */
  async blocks(): Promise<Block[]> {
    const blocks: Block[] = [];
    for (const name of await readdir(this.#bucketDirectory)) {
      if (blockIdOf(name) === undefined) continue;
      const files = await readdir(join(this.#bucketDirectory, name));
      if (!files.includes('meta.json') || files.includes('deletion-mark.json')) continue;
      blocks.push(await Block.open(nodeDisk, join(this.#bucketDirectory, name)));
    }
    return blocks;
  }

  /** `0-48 300000`: hours, and resolution. */
  async describe(): Promise<string[]> {
    const hour = (time: number) => (time - START_MS) / HOUR_MS;
    return (await this.blocks())
      .map(({ meta: { minTime, maxTime, thanos } }) => {
        return `${hour(minTime)}-${hour(maxTime)} ${thanos?.downsample.resolution}`;
      })
      .sort();
  }

  /** Raw samples in the bucket that are deleted. */
  async secretsLeft(): Promise<number> {
    let left = 0;
    for (const block of await this.blocks()) {
      if (block.meta.thanos?.downsample.resolution !== 0) continue;
      for await (const batch of streamSeries(block)) {
        for (const { labels, chunks } of batch) {
          if (labels.get('__name__') !== 'secret') continue;
          const samples = new SampleBuffer();
          for (const chunk of chunks) decodeChunk(chunk, DELETED.mint, DELETED.maxt, samples);
          left += samples.length;
        }
      }
    }
    return left;
  }

  async checkWithPromtool(): Promise<void> {
    const promtool = findProgram('promtool');
    if (promtool === undefined) return;
    const tsdb = join(this.directory, 'tsdb');
    const blocks = await this.blocks();
    for (const { meta } of blocks) {
      await cp(join(this.#bucketDirectory, meta.ulid), join(tsdb, meta.ulid), { recursive: true });
    }
    const { stdout } = await run(promtool, ['tsdb', 'list', tsdb]);
    for (const { meta } of blocks) {
      assert.match(stdout, new RegExp(`^${meta.ulid} `, 'm'));
      const analysis = await run(promtool, ['tsdb', 'analyze', tsdb, meta.ulid]);
      assert.match(analysis.stdout, /Series: 2\n/);
    }
  }
}
