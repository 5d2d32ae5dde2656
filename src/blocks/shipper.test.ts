import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { Labels } from '#/model/labels.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { emptyStats, parseBlockMeta, printBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { Shipper } from './shipper.ts';
import type { ShipperOptions } from './shipper.ts';
import {
  decode,
  encode,
  idAt,
  never,
  sampleMeta,
  thanosSection,
  writeSampleBlock,
} from './testing/sample-block.ts';

const HOURS = 3_600_000;
const block = (i: number, over: Partial<BlockMeta> = {}): BlockMeta =>
  sampleMeta({
    ulid: idAt(1_700_000_000_000 + i),
    minTime: i * 2 * HOURS,
    maxTime: (i + 1) * 2 * HOURS,
    ...over,
  });
const compacted = (meta: BlockMeta): BlockMeta => ({
  ...meta,
  compaction: { ...meta.compaction, level: 2 },
});

function setUp(over: Partial<ShipperOptions> = {}) {
  const clock = new ManualClock(1_700_000_000_000);
  const disk = new MemoryDisk({ clock });
  const bucket = new MemoryBucket({ clock });
  const log = new MemoryLog();
  const metrics = new Metrics();
  const options = {
    directory: '/data',
    bucket,
    labels: () => Labels.fromObject({ replica: 'a' }),
    source: 'sidecar',
    ...over,
  };
  const shipper = new Shipper(options, { disk, clock, log, metrics });
  const put = async (...metas: BlockMeta[]) => {
    await disk.makeDirectory('/data');
    for (const meta of metas) await writeSampleBlock(disk, '/data', meta);
  };
  const metric = async (name: string) =>
    Number(new RegExp(`^thanos_shipper_${name} (\\d+)$`, 'm').exec(await metrics.text())?.[1]);
  const shipped = () =>
    bucket.names.filter((name) => name.endsWith('/meta.json')).map((name) => name.slice(0, 26));
  return { disk, bucket, log, shipper, put, metric, shipped };
}

describe('Shipper', () => {
  test('uploads each block once, with our labels, and remembers it', async () => {
    const { shipper, put, bucket, disk, metric } = setUp({ hashFunction: 'SHA256' });
    const meta = block(0, thanosSection({ replica: 'old', zone: 'z' }));
    await put(meta);
    assert.equal(await shipper.sync(never), 1);
    assert.deepEqual(bucket.names, [
      `${meta.ulid}/chunks/000001`,
      `${meta.ulid}/chunks/000002`,
      `${meta.ulid}/index`,
      `${meta.ulid}/meta.json`,
    ]);
    const uploaded = parseBlockMeta(decode(await bucket.read(`${meta.ulid}/meta.json`)), 'x');
    assert.deepEqual(uploaded.thanos?.labels, { replica: 'a', zone: 'z' });
    assert.equal(uploaded.thanos.source, 'sidecar');
    assert.equal(uploaded.thanos.uploadTime, '2023-11-14T22:13:20.000Z');
    assert.equal(uploaded.thanos.files[0]?.hash?.value.length, 64);
    assert.deepEqual([...(await shipper.uploadedBlocks())], [meta.ulid]);
    assert.equal(await shipper.allBlocksUploaded(), true);
    assert.equal(
      decode(await disk.read('/data/thanos.shipper.json')),
      `{\n\t"version": 1,\n\t"uploaded": [\n\t\t"${meta.ulid}"\n\t]\n}\n`,
    );

    // What the state file has is never looked up again, as compaction may have deleted it.
    await bucket.remove(`${meta.ulid}/meta.json`);
    assert.equal(await shipper.sync(never), 0);
    assert.equal(await metric('uploads_total'), 1);
    assert.equal(await metric('dir_syncs_total'), 2);
  });

  test('leaves out empty and compacted blocks, and forgets what is gone locally', async () => {
    const { shipper, put, shipped, disk } = setUp();
    const [a, b, c] = [block(0), block(1), block(2)];
    await put(a, { ...b, stats: emptyStats }, compacted(c));
    await disk.write('/data/wal/00000001', encode('x'));
    await disk.makeDirectory(`/data/${idAt(1)}.tmp-for-creation`);
    assert.equal(await shipper.sync(never), 1);
    assert.deepEqual(shipped(), [a.ulid]);
    await disk.remove(`/data/${a.ulid}`);
    await shipper.sync(never);
    assert.equal(
      decode(await disk.read('/data/thanos.shipper.json')),
      '{\n\t"version": 1,\n\t"uploaded": null\n}\n',
    );
    assert.equal(await shipper.allBlocksUploaded(), false);
  });

  test('takes up what is in the bucket already, with or without a usable state file', async () => {
    for (const state of [undefined, '{"version":2}', 'no json', '{"version":1,"uploaded":null}']) {
      const { shipper, put, bucket, disk } = setUp();
      const meta = block(0);
      await put(meta);
      await bucket.upload(`${meta.ulid}/meta.json`, encode('whatever'));
      if (state !== undefined) await disk.write('/data/thanos.shipper.json', encode(state));
      assert.equal(await shipper.sync(never), 0);
      assert.deepEqual([...(await shipper.uploadedBlocks())], [meta.ulid]);
    }
  });

  test('stops at a failed upload before the state is written, oldest block first', async () => {
    const { shipper, put, bucket, shipped, metric } = setUp();
    const [a, b, c] = [block(0), block(1), block(2)];
    await put(c, b, a);
    bucket.faults = (operation) =>
      operation === `bucket.upload ${b.ulid}/index` ? 'refuse' : undefined;
    await assert.rejects(
      shipper.sync(never),
      new RegExp(`^UnavailableError: uploading block ${b.ulid}:`),
    );
    assert.deepEqual(shipped(), [a.ulid]);
    assert.equal((await shipper.uploadedBlocks()).size, 0);
    assert.equal(await metric('dir_sync_failures_total'), 1);
    assert.equal(await metric('upload_failures_total'), 0);
    bucket.faults = undefined;
    assert.equal(await shipper.sync(never), 2);
    assert.deepEqual(shipped(), [a.ulid, b.ulid, c.ulid]);
  });

  test('goes on after a failed upload when order does not matter', async () => {
    const { shipper, put, bucket, shipped, metric, log } = setUp({ allowOutOfOrderUploads: true });
    const [a, b] = [block(0), block(1)];
    await put(a, b);
    bucket.faults = (operation) =>
      operation === `bucket.upload ${a.ulid}/index` ? 'refuse' : undefined;
    await assert.rejects(shipper.sync(never), /1 blocks failed to upload and 0 are corrupted/);
    assert.deepEqual(shipped(), [b.ulid]);
    assert.equal(await metric('upload_failures_total'), 1);
    assert.equal(await metric('dir_syncs_total'), 1);
    assert.ok(log.lines.some(({ fields }) => fields['block'] === a.ulid));
  });

  test('uploads compacted blocks when asked to, unless something overlaps', async () => {
    const { shipper, put, bucket, shipped, metric } = setUp({ uploadCompacted: true });
    const other = (meta: BlockMeta, labels: Record<string, string>) =>
      bucket.upload(
        `${meta.ulid}/meta.json`,
        encode(printBlockMeta({ ...meta, ...thanosSection(labels) })),
      );
    const big = compacted(block(0, { maxTime: 8 * HOURS }));
    await put(big);
    await other(block(1), { replica: 'b' });
    await other(block(9), { replica: 'a' });
    assert.equal(await shipper.sync(never), 1);
    assert.equal(await metric('upload_compacted_done'), 1);

    const overlapping = compacted(block(3, { maxTime: 9 * HOURS }));
    await put(overlapping);
    await assert.rejects(shipper.sync(never), (thrown: Error) => {
      return (
        thrown.message.includes(`${overlapping.ulid} is not uploaded`) &&
        thrown.message.includes(`${big.ulid} [1970-01-01T00:00:00.000Z, 1970-01-01T08:00:00.000Z)`)
      );
    });
    assert.equal(shipped().includes(overlapping.ulid), false);
  });

  test('stops at a corrupted block, or skips and counts it', async () => {
    for (const skipCorruptedBlocks of [false, true]) {
      const { shipper, put, disk, shipped, metric } = setUp({ skipCorruptedBlocks });
      const [a, b] = [block(0), block(1)];
      await put(a, b);
      await disk.write(`/data/${a.ulid}/meta.json`, encode('{'));
      await assert.rejects(
        shipper.sync(never),
        skipCorruptedBlocks
          ? /0 blocks failed to upload and 1 are corrupted/
          : new RegExp(`/data/${a.ulid}: cannot read the block: .*not valid JSON`),
      );
      assert.deepEqual(shipped(), skipCorruptedBlocks ? [b.ulid] : []);
      assert.equal(await metric('corrupted_blocks_total'), skipCorruptedBlocks ? 1 : 0);
      await assert.rejects(shipper.allBlocksUploaded(), /cannot read the block/);
    }
  });

  test('refuses a block without external labels, and stops when told to', async () => {
    const { shipper, put } = setUp({ labels: () => Labels.empty });
    await put(block(0));
    await assert.rejects(shipper.sync(never), /has no external labels; set external_labels/);
    const stopped = AbortSignal.abort(new Error('shutting down'));
    const { shipper: other, put: putOther } = setUp();
    await putOther(block(0));
    await assert.rejects(other.sync(stopped), /shutting down/);
  });
});
