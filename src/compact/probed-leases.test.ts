import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { keepsConditions, ProbedLeases } from './probed-leases.ts';

const never = new AbortController().signal;

/** A bucket that does as if no write had a condition, or says that it knows none. */
function withoutConditions(how: 'ignores' | 'refuses', of = new MemoryBucket()): MemoryBucket {
  const bucket = new MemoryBucket({ of });
  const upload = bucket.upload.bind(bucket);
  bucket.upload = (name, content, given) => {
    const { ifAbsent, ifMatch, ...options } = given ?? {};
    if (how === 'refuses' && (ifAbsent !== undefined || ifMatch !== undefined)) {
      return Promise.reject(new UnavailableError('NotImplemented (HTTP 501)'));
    }
    return upload(name, content, options);
  };
  return bucket;
}

function leasesOf(bucket: MemoryBucket, holder: string) {
  const log = new MemoryLog();
  const clock = new ManualClock();
  return { log, leases: new ProbedLeases({ bucket, holder, ttlMs: 60_000, clock, log }) };
}

test('a bucket is tried for the conditions of writes, and nothing is left of that', async () => {
  const good = new MemoryBucket();
  assert.equal(await keepsConditions(good, 'probe', never), true);
  assert.equal(await keepsConditions(withoutConditions('ignores'), 'probe', never), false);
  assert.equal(await keepsConditions(withoutConditions('refuses'), 'probe', never), false);
  assert.deepEqual(good.names, []);
});

test('with conditions one of two compactors gets a lease', async () => {
  const bucket = new MemoryBucket();
  const [one, two] = [leasesOf(bucket, 'one'), leasesOf(bucket, 'two')];
  const lease = await one.leases.acquire('job', never);
  assert.ok(lease);
  assert.equal(await two.leases.acquire('job', never), undefined);
  await lease[Symbol.asyncDispose]();
  assert.deepEqual(one.log.lines, []);
});

test('without them every lease is granted, and a warning says what not to do', async () => {
  const { log, leases } = leasesOf(withoutConditions('ignores'), 'one');
  assert.ok(await leases.acquire('job', never));
  assert.ok(await leases.acquire('job', never));
  assert.equal(log.lines.length, 1);
  assert.match(log.lines[0]!.message, /run one compactor.*--compact\.shard-count/);
});

test('a bucket that cannot be reached is tried again', async () => {
  const bucket = new MemoryBucket();
  const upload = bucket.upload.bind(bucket);
  bucket.upload = () => Promise.reject(new UnavailableError('no route'));
  const { leases } = leasesOf(bucket, 'one');
  await assert.rejects(leases.acquire('job', never), /no route/);
  bucket.upload = upload;
  assert.ok(await leases.acquire('job', never));
});
