import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markBlock, readMark } from '#/blocks/markers.ts';
import { LocalBlockWork } from '#/compact/block-work.ts';
import { BucketLeases } from '#/compact/bucket-leases.ts';
import { parseRetentionRules } from '#/compact/retention-rules-config.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { bucketToolInMemory, HOUR_MS, never } from '../testing/bucket-tool.ts';
import { cleanBucket } from './bucket-cleanup.ts';
import { downsampleBucket } from './bucket-downsample.ts';
import type { DownsampleConfig } from './bucket-downsample.ts';
import { retainBlocks } from './bucket-retention.ts';
import { fetchBlocks } from './bucket-tool.ts';
import type { BucketTool } from './bucket-tool.ts';

const maintenance = {
  deleteDelayMs: 48 * HOUR_MS,
  consistencyDelayMs: 0,
  concurrency: 4,
} as const;

/** Of all whole blocks. */
async function resolutions(tool: BucketTool): Promise<number[]> {
  const { metas } = await fetchBlocks(tool, [], never);
  return metas.map(({ thanos }) => thanos?.downsample.resolution ?? 0).sort((a, b) => a - b);
}

describe('tools bucket cleanup', () => {
  test('deletes what was marked long enough ago, and uploads that were given up', async () => {
    const { tool, addBlock, bucket, clock, log } = bucketToolInMemory();
    const old = await addBlock({ slot: 0 });
    const kept = await addBlock({ slot: 1 });
    const fresh = await addBlock({ slot: 2 });
    await bucket.upload('01HWRY2K805NNDTFEKG2HVJKGG/index', new Uint8Array(1));
    await markBlock(bucket, old.ulid, { kind: 'deletion', clock });
    await clock.advance(30 * HOUR_MS);
    await markBlock(bucket, fresh.ulid, { kind: 'deletion', clock });
    await clock.advance(19 * HOUR_MS);
    assert.equal(await cleanBucket(maintenance, tool), 0);
    const directories = new Set(bucket.names.map((name) => name.split('/')[0]));
    assert.deepEqual(directories, new Set([kept.ulid, fresh.ulid, 'hindsight']));
    assert.equal(log.lines.at(-1)!.message, 'cleanup done');
  });

  test('goes on with the others, and ends with 1, when one cannot be deleted', async () => {
    const { tool, addBlock, bucket, clock } = bucketToolInMemory();
    const blocks = [await addBlock({ slot: 0 }), await addBlock({ slot: 1 })];
    for (const { ulid } of blocks) await markBlock(bucket, ulid, { kind: 'deletion', clock });
    await clock.advance(49 * HOUR_MS);
    bucket.faults = (operation) =>
      operation === `bucket.remove ${blocks[0]!.ulid}/index` ? 'refuse' : undefined;
    assert.equal(await cleanBucket(maintenance, tool), 1);
    assert.ok(!bucket.names.some((name) => name.startsWith(blocks[1]!.ulid)));
  });
});

describe('tools bucket retention', () => {
  const config = {
    ...maintenance,
    retentions: new Map([[Resolution.Raw, 97 * HOUR_MS]]),
    rules: [],
    downsampleAges: undefined,
    dryRun: false,
  };

  test('marks what has passed its retention', async () => {
    const { tool, addBlock, bucket } = bucketToolInMemory();
    const old = await addBlock({ slot: 0 });
    const recent = await addBlock({ slot: 1 });
    assert.equal(await retainBlocks(config, tool), 0);
    const mark = await readMark(bucket, old.ulid, 'deletion');
    assert.equal(mark?.details, 'block exceeding retention of 97h0m0s');
    assert.equal(await readMark(bucket, recent.ulid, 'deletion'), undefined);
  });

  test('a dry run says what would be done, and does nothing', async () => {
    const { tool, addBlock, bucket, text } = bucketToolInMemory();
    const { ulid } = await addBlock({ slot: 0 });
    bucket.faults = (operation) =>
      /bucket\.(upload|remove)/.test(operation) ? 'refuse' : undefined;
    assert.equal(await retainBlocks({ ...config, dryRun: true }, tool), 0);
    const reason = 'block exceeding retention of 97h0m0s';
    assert.equal(
      text(),
      `${ulid} would be marked for deletion: ${reason}\n1 blocks would be marked for deletion, 0 held\n`,
    );
  });

  test('keeps blocks in which some series are kept longer by a rule', async () => {
    const { tool, addBlock, bucket, text } = bucketToolInMemory();
    const { ulid } = await addBlock({ slot: 0 });
    const yaml = '- match: [down]\n  retention: 30d\n';
    const rules = parseRetentionRules('rules', yaml, config.retentions);
    assert.equal(await retainBlocks({ ...config, rules }, tool), 0);
    assert.equal(await readMark(bucket, ulid, 'deletion'), undefined);
    assert.equal(await retainBlocks({ ...config, rules, dryRun: true }, tool), 0);
    assert.match(
      text(),
      new RegExp(
        `^${ulid} would be rewritten without 2 of 3 series .*; a compactor does that\n0 blocks`,
      ),
    );
  });

  test('holds blocks back that are still to be downsampled', async () => {
    const { tool, addBlock, bucket, text } = bucketToolInMemory();
    const { ulid } = await addBlock({ slot: 0 });
    const downsampleAges = { fiveMinutesMs: 2 * HOUR_MS, oneHourMs: 4 * HOUR_MS };
    const waiting = { ...config, downsampleAges };
    assert.equal(await retainBlocks({ ...waiting, dryRun: true }, tool), 0);
    assert.match(text(), /would be kept past its retention.*\n0 blocks .* 1 held/);
    assert.equal(await retainBlocks(waiting, tool), 0);
    assert.equal(await readMark(bucket, ulid, 'deletion'), undefined);
  });
});

describe('tools bucket downsample', () => {
  const config: DownsampleConfig = {
    http: { address: '127.0.0.1:10902', gracePeriodMs: 0 },
    dataDirectory: '/data',
    ages: { fiveMinutesMs: 2 * HOUR_MS, oneHourMs: 2 * HOUR_MS },
    concurrency: 2,
    fileConcurrency: 2,
    hashFunction: '',
    leases: { holder: 'here', ttlMs: 60_000 },
    waitIntervalMs: 300_000,
    singleRun: true,
  };

  test('brings blocks to 5 minutes and then to 1 hour', async () => {
    const { tool, addBlock, disk } = bucketToolInMemory();
    await addBlock({ slot: 0 });
    await addBlock({ slot: 1 });
    assert.equal(await downsampleBucket(config, tool, new LocalBlockWork(disk)), 0);
    assert.deepEqual(await resolutions(tool), [0, 0, 300_000, 300_000, 3_600_000, 3_600_000]);
    assert.deepEqual(await disk.list('/data/downsample'), []);
  });

  test('leaves a block to the compactor that has its lease', async () => {
    const { tool, addBlock, bucket, clock, log, disk } = bucketToolInMemory();
    const { ulid } = await addBlock({ slot: 0 });
    const others = new BucketLeases({ bucket, clock, log, holder: 'other', ttlMs: 60_000 });
    await using lease = await others.acquire(`downsample/${ulid}-300000`, never);
    assert.ok(lease);
    assert.equal(await downsampleBucket(config, tool, new LocalBlockWork(disk)), 1);
    assert.deepEqual(await resolutions(tool), [0]);
  });

  test('looks again after a while, until it is told to stop', async () => {
    const { tool, addBlock, disk, clock } = bucketToolInMemory();
    const stop = new AbortController();
    const looping = { ...config, leases: undefined, singleRun: false };
    const running = downsampleBucket(
      looping,
      { ...tool, signal: stop.signal },
      new LocalBlockWork(disk),
    );
    await clock.advance(1000);
    await addBlock({ slot: 0 });
    await clock.advance(300_000);
    assert.deepEqual(await resolutions(tool), [0, 300_000, 3_600_000]);
    stop.abort();
    assert.equal(await running, 0);
  });
});
