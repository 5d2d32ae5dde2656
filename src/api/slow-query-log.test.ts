import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestTally } from '#/objstore/request-tally.ts';
import { StoreStats } from '#/storeapi/store-stats.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { notedIfSlow } from './slow-query-log.ts';

test('a query that takes long is told of, with what it took of object storage', async () => {
  const log = new MemoryLog();
  let time = 0;
  const slow = { log, longerThanMs: 1000, now: () => time };
  const tally = new RequestTally();
  const asked = { text: 'up', stats: new StoreStats(2, tally) };
  const lasting = (ms: number) => () => {
    time += ms;
    tally.add('chunks', 3, 700);
    return Promise.resolve(ms);
  };
  assert.equal(await notedIfSlow(slow, asked, lasting(999)), 999);
  assert.equal(log.lines.length, 0);
  await notedIfSlow(slow, asked, lasting(1000));
  assert.deepEqual(log.lines[0]?.fields, {
    query: 'up',
    duration_ms: 1000,
    outcome: 'ok',
    blocks: 2,
    objstore_requests: 6,
    objstore_bytes: 1400,
  });
  time = 0;
  const failing = async () => {
    time = 5000;
    throw new Error('too many samples');
  };
  await assert.rejects(notedIfSlow(slow, asked, failing), /too many/);
  assert.equal(log.lines[1]?.fields?.['outcome'], 'too many samples');
  await notedIfSlow({ ...slow, longerThanMs: 0 }, asked, lasting(9999));
  assert.equal(log.lines.length, 2);
});
