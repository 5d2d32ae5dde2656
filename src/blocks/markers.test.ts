import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BadInputError, CorruptionError } from '#/lib/errors.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { markBlock, readMark } from './markers.ts';
import { decode, encode, idAt } from './testing/sample-block.ts';

const ID = idAt(1_700_000_000_000);
const clock = { now: () => 1_700_000_123_456 };

describe('marks', () => {
  test('are written as Thanos writes them, once, and read back', async () => {
    const bucket = new MemoryBucket();
    assert.equal(await readMark(bucket, ID, 'deletion'), undefined);
    const request = { kind: 'deletion', details: 'retention <1y>', clock } as const;
    assert.equal(await markBlock(bucket, ID, request), true);
    assert.equal(
      decode(await bucket.read(`${ID}/deletion-mark.json`)),
      `{"id":"${ID}","version":1,"details":"retention \\u003c1y\\u003e","deletion_time":1700000123}`,
    );
    assert.equal(await markBlock(bucket, ID, { ...request, details: 'again' }), false);
    assert.deepEqual(await readMark(bucket, ID, 'deletion'), {
      id: ID,
      timeMs: 1_700_000_123_000,
      details: 'retention <1y>',
      reason: '',
    });

    await markBlock(bucket, ID, { kind: 'no-compact', reason: 'index-size-exceeding', clock });
    assert.equal(
      decode(await bucket.read(`${ID}/no-compact-mark.json`)),
      `{"id":"${ID}","version":1,"no_compact_time":1700000123,"reason":"index-size-exceeding"}`,
    );
    await markBlock(bucket, ID, { kind: 'no-downsample', clock });
    assert.equal((await readMark(bucket, ID, 'no-downsample'))?.reason, 'manual');
  });

  test('tell a broken file from an unknown version', async () => {
    const bucket = new MemoryBucket();
    await bucket.upload(`${ID}/deletion-mark.json`, encode('{"id":'));
    await assert.rejects(readMark(bucket, ID, 'deletion'), CorruptionError);
    await bucket.upload(`${ID}/deletion-mark.json`, encode('{"version":2}'));
    await assert.rejects(readMark(bucket, ID, 'deletion'), (thrown: Error) => {
      return thrown instanceof BadInputError && /version is 2/.test(thrown.message);
    });
  });
});
