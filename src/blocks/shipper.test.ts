import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
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
  const total = async (name: string) =>
    Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await metrics.text())?.[1]);
  const metric = (name: string) => total(`thanos_shipper_${name}`);
  const shipped = () =>
    bucket.names.filter((name) => name.endsWith('/meta.json')).map((name) => name.slice(0, 26));
  return { clock, disk, bucket, log, shipper, put, metric, total, shipped };
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

  test('stops at a block that misses files, or skips and counts it', async () => {
    for (const missing of ['index', 'chunks']) {
      for (const skipCorruptedBlocks of [false, true]) {
        const { shipper, put, disk, shipped, metric } = setUp({ skipCorruptedBlocks });
        const [a, b] = [block(0), block(1)];
        await put(a, b);
        await disk.remove(`/data/${a.ulid}/${missing}`);
        await assert.rejects(
          shipper.sync(never),
          skipCorruptedBlocks
            ? /0 blocks failed to upload and 1 are corrupted/
            : new RegExp(
                `uploading block ${a.ulid}: .*the block is not whole: ENOENT.*/${missing}`,
              ),
        );
        assert.deepEqual(shipped(), skipCorruptedBlocks ? [b.ulid] : []);
        assert.equal(await metric('corrupted_blocks_total'), skipCorruptedBlocks ? 1 : 0);
      }
    }
  });

  test('keeps a damaged state file aside and makes a new one', async () => {
    const { shipper, put, disk } = setUp();
    const meta = block(0);
    await put(meta);
    await disk.write('/data/thanos.shipper.json', encode('{"version":1,"uplo'));
    assert.equal(await shipper.sync(never), 1);
    assert.deepEqual([...(await shipper.uploadedBlocks())], [meta.ulid]);
    const kept = await disk.read('/data/thanos.shipper.json.corrupt');
    assert.equal(decode(kept), '{"version":1,"uplo');
  });

  test('uploads each block once whatever the clock says', async () => {
    const { shipper, put, shipped, clock, metric } = setUp();
    const year = 8760 * HOURS;
    const now = clock.now();
    const metas = [
      block(0, { minTime: now + year, maxTime: now + year + 2 * HOURS }),
      block(1, { minTime: -2 * HOURS, maxTime: 0 }),
      block(2),
    ];
    for (const [i, jump] of [0, -10 * year, 20 * year].entries()) {
      clock.set(now + jump);
      await put(metas[i]!);
      assert.equal(await shipper.sync(never), 1);
    }
    assert.deepEqual(shipped(), metas.map(({ ulid }) => ulid).sort());
    assert.equal(await metric('uploads_total'), 3);
  });
});

describe('an upload that is disturbed', () => {
  const meta = block(0);
  const names = ['chunks/000001', 'chunks/000002', 'index', 'meta.json'].map(
    (name) => `${meta.ulid}/${name}`,
  );

  /** Refuses one operation of the bucket, or does something else before it, and lists the uploads. */
  function watch(bucket: MemoryBucket, at: string, act: () => 'refuse' | undefined): string[] {
    const uploads: string[] = [];
    bucket.faults = (operation) => {
      const fault = operation === at ? act() : undefined;
      if (fault === undefined && operation.startsWith('bucket.upload ')) {
        uploads.push(operation.slice('bucket.upload '.length));
      }
      return fault;
    };
    return uploads;
  }

  test('sends only what is not there yet', async () => {
    const { shipper, put, bucket, shipped } = setUp();
    await put(meta);
    const uploads = watch(bucket, `bucket.upload ${names[1]}`, () => 'refuse');
    await assert.rejects(shipper.sync(never), UnavailableError);
    assert.deepEqual(uploads, [names[0]]);
    const more = watch(bucket, '', () => undefined);
    assert.equal(await shipper.sync(never), 1);
    assert.deepEqual(more, names.slice(1));
    assert.deepEqual(shipped(), [meta.ulid]);
  });

  test('sends a file again that is there with another size or other bytes', async () => {
    for (const damage of ['longer than it was', 'x'.repeat(`${meta.ulid} first segment`.length)]) {
      const { shipper, put, bucket, disk } = setUp();
      await put(meta);
      await bucket.upload(names[0]!, encode(damage));
      assert.equal(await shipper.sync(never), 1);
      assert.deepEqual(await bucket.read(names[0]!), await disk.read(`/data/${names[0]}`));
    }
  });

  test('announces nothing while the bucket has something else than was sent', async () => {
    const damages: [damage: (sent: string) => string, message: RegExp][] = [
      [(sent) => sent.slice(0, -1), /000001: has 39 bytes, but \S+ has 40/],
      [(sent) => `X${sent.slice(1)}`, /000001: has the MD5 \w+, but/],
    ];
    for (const [damage, message] of damages) {
      const lossy = new (class extends MemoryBucket {
        override upload(name: string, content: Uint8Array): Promise<void> {
          return super.upload(name, encode(damage(decode(content))));
        }
      })();
      const { shipper, put } = setUp({ bucket: lossy });
      await put(meta);
      await assert.rejects(shipper.sync(never), message);
      assert.deepEqual(lossy.names, [names[0]]);
      assert.equal((await shipper.uploadedBlocks()).size, 0);
    }
  });

  test('keeps to the bandwidth that it was given', async () => {
    const { shipper, put, clock, shipped, disk } = setUp({ uploadBytesPerSecond: 10 });
    await put(meta);
    const sizes = await Promise.all(
      names.slice(0, 3).map(async (name) => (await disk.read(`/data/${name}`)).length),
    );
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    const done = shipper.sync(never);
    await clock.advance(0);
    // The last file waits until those before are paid for; the first second is free.
    await clock.advance((bytes - sizes[2]!) * 100 - 1001);
    assert.deepEqual(shipped(), []);
    await clock.advance(1);
    await done;
    assert.deepEqual(shipped(), [meta.ulid]);
  });

  test('goes on when Prometheus deletes the block, and remembers what is left of it', async () => {
    for (const refuse of [false, true]) {
      const { shipper, put, bucket, disk, shipped } = setUp();
      await put(meta);
      const whole = await disk.read(`/data/${names[1]}`);
      watch(bucket, `bucket.upload ${names[1]}`, () => {
        void disk.remove(`/data/${meta.ulid}`);
        return refuse ? 'refuse' : undefined;
      });
      if (refuse) {
        await assert.rejects(shipper.sync(never), UnavailableError);
        bucket.faults = undefined;
      }
      assert.equal(await shipper.sync(never), 1);
      assert.deepEqual(shipped(), [meta.ulid]);
      assert.deepEqual(bucket.peek(names[1]!), whole);
      assert.deepEqual(disk.paths, ['/data/thanos.shipper.json']);
    }
  });

  test('lets go of a block that is deleted before there are links to it', async () => {
    const { shipper, put, disk, shipped, total } = setUp();
    const next = block(1);
    await put(meta, next);
    disk.faults = (operation) => {
      if (operation.startsWith('disk.makeDirectory') && operation.includes(meta.ulid)) {
        void disk.remove(`/data/${meta.ulid}`);
      }
      return undefined;
    };
    assert.equal(await shipper.sync(never), 1);
    assert.deepEqual(shipped(), [next.ulid]);
    assert.equal(await total('hindsight_shipper_vanished_blocks_total'), 1);
  });

  test('needs no room on the disk', async () => {
    const { shipper, put, disk, shipped, total, log } = setUp();
    await put(meta);
    const before = disk.paths;
    disk.full = true;
    assert.equal(await shipper.sync(never), 1);
    assert.deepEqual(shipped(), [meta.ulid]);
    assert.deepEqual(disk.paths, before);
    assert.equal(await total('hindsight_shipper_staging_failures_total'), 1);
    assert.match(String(log.lines.at(-1)?.fields['err']), /^ENOSPC/);
    disk.full = false;
    assert.equal(await shipper.sync(never), 0);
    assert.deepEqual([...(await shipper.uploadedBlocks())], [meta.ulid]);
  });

  test('goes up from where it is when the disk has no hard links', async () => {
    const { shipper, put, disk, shipped, total } = setUp();
    await put(meta);
    disk.link = () => Promise.reject(Object.assign(new Error('EXDEV: link'), { code: 'EXDEV' }));
    assert.equal(await shipper.sync(never), 1);
    assert.deepEqual(shipped(), [meta.ulid]);
    assert.equal(await total('hindsight_shipper_staging_failures_total'), 1);
  });
});
