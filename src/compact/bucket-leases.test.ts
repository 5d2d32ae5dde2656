import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FaultAt } from '#/lib/faults.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { BucketLeases, LEASES_DIRECTORY } from './bucket-leases.ts';
import type { Lease } from './lease.ts';

const TTL = 60_000;
const never = new AbortController().signal;

/** Compactors on one bucket, each with a clock and a network of its own. */
function compactors(count: number) {
  const store = new MemoryBucket();
  return Array.from({ length: count }, (_, i) => {
    const bucket = new MemoryBucket({ of: store });
    const clock = new ManualClock(i * 3_600_000);
    const options = { bucket, clock, holder: `compactor-${i}`, ttlMs: TTL, log: new MemoryLog() };
    return { bucket, clock, leases: new BucketLeases(options) };
  });
}

type Compactor = ReturnType<typeof compactors>[number];

async function pass(all: readonly Compactor[], ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1000) {
    for (const { clock } of all) await clock.advance(Math.min(left, 1000));
  }
}

test('of eight compactors one gets the lease, the next one when it is given back', async () => {
  const all = compactors(8);
  const won = await Promise.all(all.map(({ leases }) => leases.acquire('job', never)));
  const held = won.filter((lease) => lease !== undefined);
  assert.equal(held.length, 1);
  const others = all.filter((_, i) => won[i] === undefined);
  assert.equal(await others[0]!.leases.acquire('job', never), undefined);
  assert.ok(await others[0]!.leases.acquire('another job', never));
  await held[0]![Symbol.asyncDispose]();
  assert.ok(await others[1]!.leases.acquire('job', never));
});

test('a lease lasts as long as it is renewed', async () => {
  const all = compactors(2);
  const [mine, other] = all;
  await using lease = await mine!.leases.acquire('job', never);
  for (let i = 0; i < 10; i++) {
    await pass(all, TTL);
    assert.equal(await other!.leases.acquire('job', never), undefined);
  }
  await lease!.confirm(never);
  assert.equal(lease!.signal.aborted, false);
});

test('a holder that is cut off knows before another can have the lease', async () => {
  const all = compactors(2);
  const [mine, other] = all;
  await using lease = await mine!.leases.acquire('job', never);
  mine!.bucket.faults = () => 'refuse';
  assert.equal(await other!.leases.acquire('job', never), undefined);
  let next: Lease | undefined;
  for (let seconds = 0; next === undefined; seconds++) {
    assert.ok(seconds < 200, 'nobody takes over');
    await pass(all, 1000);
    next = await other!.leases.acquire('job', never);
    if (next !== undefined) assert.ok(lease!.signal.aborted, 'two compactors have the lease');
  }
  mine!.bucket.faults = undefined;
  await assert.rejects(lease!.confirm(never), /could not be renewed for 45 s/);
});

test('a lease that another has taken is not confirmed', async () => {
  const [mine] = compactors(1);
  await using lease = await mine!.leases.acquire('job', never);
  const [name] = await names(mine!.bucket);
  const stolen = { job: 'job', holder: 'thief', beat: 99, state: 'held' };
  await mine!.bucket.upload(name!, new TextEncoder().encode(JSON.stringify(stolen)));
  await assert.rejects(lease!.confirm(never), /taken over by another compactor/);
  assert.ok(lease!.signal.aborted);
});

test('a reply that is lost costs no lease when the write is repeated', async () => {
  for (let at = 0; at < 6; at++) {
    const [mine] = compactors(1);
    const fault = new FaultAt(at, 'lose-reply', false);
    mine!.bucket.faults = fault.plan;
    const lease = await retried(() => mine!.leases.acquire('job', never));
    const again = lease ?? (await afterExpiry(mine!));
    await retried(() => again!.confirm(never));
    assert.equal(again!.signal.aborted, false);
    await again![Symbol.asyncDispose]();
  }
});

test('whatever fails, no two compactors hold a confirmed lease at once', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const all = compactors(3);
    const held: (Lease | undefined)[] = all.map(() => undefined);
    for (let step = 0; step < 60; step++) {
      const i = randomInteger(random, 0, all.length - 1);
      const { bucket, leases, clock } = all[i]!;
      const share = random.next();
      bucket.faults = () => {
        if (random.next() > share * 0.4) return undefined;
        return random.next() < 0.5 ? 'refuse' : 'lose-reply';
      };
      // A clock that an administrator moves changes nothing: only waiting counts.
      if (random.next() < 0.1) clock.set(clock.now() + randomInteger(random, -1e7, 1e7));
      const mine = held[i];
      if (mine === undefined || mine.signal.aborted) {
        held[i] = await attempt(() => leases.acquire('job', never));
      } else if (random.next() < 0.2) {
        await mine[Symbol.asyncDispose]();
        held[i] = undefined;
      } else if (await confirms(mine)) {
        const others = held.filter((lease) => lease !== undefined && lease !== mine);
        const alive = others.filter((lease) => lease?.signal.aborted === false);
        assert.equal(alive.length, 0, `seed ${seed}, step ${step}`);
      }
      await pass(all, randomInteger(random, 0, 40_000));
    }
  }
});

async function names(bucket: MemoryBucket): Promise<string[]> {
  const entries = await Array.fromAsync(bucket.list(`${LEASES_DIRECTORY}/`));
  return entries.map(({ name }) => name);
}

async function retried<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch {
    return work();
  }
}

async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch {
    return undefined;
  }
}

async function confirms(lease: Lease): Promise<boolean> {
  try {
    await lease.confirm(never);
    return true;
  } catch {
    return false;
  }
}

/** The first reply was lost, so the lease looks like a stranger's until its time is over. */
async function afterExpiry(compactor: Compactor): Promise<Lease | undefined> {
  await pass([compactor], 2 * TTL);
  return compactor.leases.acquire('job', never);
}
