import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FaultAt } from '#/lib/faults.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { blockIdOf, deleteBlock, downloadBlock } from './block-files.ts';
import { markBlock } from './markers.ts';
import {
  encode,
  idAt,
  never,
  sampleMeta,
  thanosSection,
  writeSampleBlock,
} from './testing/sample-block.ts';
import { uploadBlock } from './upload-block.ts';

const ID = idAt(1_700_000_000_000);
const META = sampleMeta({ ulid: ID, ...thanosSection({ a: '1' }) });
const clock = { now: () => 1_700_000_000_000 };

async function uploaded() {
  const disk = new MemoryDisk();
  const bucket = new MemoryBucket();
  await writeSampleBlock(disk, '/from', META);
  const directory = `/from/${ID}`;
  const request = {
    disk,
    clock,
    bucket,
    directory,
    hashFunction: 'SHA256',
    signal: never,
  } as const;
  const meta = await uploadBlock(request);
  return { disk, bucket, meta };
}

describe('a block in a bucket', () => {
  test('comes back as it was, and only what differs is downloaded again', async () => {
    const { disk, bucket, meta } = await uploaded();
    const request = { disk, bucket, id: ID, directory: '/to', signal: never };
    assert.deepEqual(await downloadBlock(request), meta);
    for (const file of ['chunks/000001', 'chunks/000002', 'index']) {
      assert.deepEqual(await disk.read(`/to/${file}`), await disk.read(`/from/${ID}/${file}`));
    }
    await disk.write('/to/index', encode('damaged'));
    const reads: string[] = [];
    bucket.faults = (operation) => {
      if (operation.startsWith('bucket.read')) reads.push(operation);
      return undefined;
    };
    await downloadBlock(request);
    assert.deepEqual(reads, [`bucket.read ${ID}/meta.json`, `bucket.read ${ID}/index`]);
    assert.deepEqual(await disk.read('/to/index'), await disk.read(`/from/${ID}/index`));
  });

  test('needs a ULID for a name, external labels and all of its files', async () => {
    const disk = new MemoryDisk();
    const bucket = new MemoryBucket();
    await writeSampleBlock(disk, '/d', sampleMeta({ ulid: ID }));
    const request = { disk, clock, bucket, directory: `/d/${ID}`, signal: never };
    await assert.rejects(uploadBlock(request), /has no external labels/);
    await uploadBlock({ ...request, allowWithoutLabels: true });
    await disk.remove(`/d/${ID}/index`);
    await assert.rejects(uploadBlock({ ...request, allowWithoutLabels: true }), /index: missing/);
    await assert.rejects(uploadBlock({ ...request, directory: '/d' }), /not named after/);
    assert.equal(blockIdOf(`${ID}/index`), ID);
    assert.equal(blockIdOf('debug/metas'), undefined);
  });

  test('is deleted without ever looking whole, and its mark goes last', async () => {
    for (let at = 0; ; at++) {
      const { bucket } = await uploaded();
      await markBlock(bucket, ID, { kind: 'deletion', clock });
      await bucket.upload(`${idAt(5)}/meta.json`, encode('another block'));
      const faults = new FaultAt(at, 'refuse', true);
      bucket.faults = faults.plan;
      await deleteBlock(bucket, ID, never).catch(() => undefined);
      bucket.faults = undefined;
      const left = bucket.names.filter((name) => name.startsWith(ID));
      if (left.includes(`${ID}/meta.json`)) assert.equal(left.length, 5);
      if (left.length > 0) assert.ok(left.includes(`${ID}/deletion-mark.json`));
      await deleteBlock(bucket, ID, never);
      assert.deepEqual(bucket.names, [`${idAt(5)}/meta.json`]);
      if (faults.count <= at) break;
    }
  });
});
