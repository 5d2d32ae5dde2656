import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import type { PassResult } from './pass-result.ts';
import { WatchedQueue } from './queue.ts';

const MINUTE_MS = 60_000;
const never = new AbortController().signal;
const done: PassResult = { worked: 0, elsewhere: 0, failures: [] };

function world() {
  const clock = new ManualClock(1_700_000_000_000);
  const state = { pass: () => Promise.resolve(done), signMs: undefined as number | undefined };
  const queue = new WatchedQueue(
    {
      name: 'compaction',
      intervalMs: 5 * MINUTE_MS,
      pass: () => state.pass(),
      lastSignMs: () => state.signMs,
    },
    clock,
  );
  return { clock, state, queue };
}

describe('WatchedQueue', () => {
  test('keeps the last pass and tells when the next one begins', async () => {
    const { clock, queue } = world();
    assert.equal(queue.status().lastPass, undefined);
    await queue.pass(never);
    queue.rest();
    const now = clock.now();
    const { lastPass, lastSuccessMs, nextMs, trouble, runningSinceMs } = queue.status();
    assert.deepEqual(lastPass, { startedMs: now, endedMs: now, result: done, error: undefined });
    assert.deepEqual([lastSuccessMs, nextMs], [now, now + 5 * MINUTE_MS]);
    assert.deepEqual([trouble, runningSinceMs], [undefined, undefined]);
  });

  test('a queue whose passes fail is in trouble after an hour, until one succeeds', async () => {
    const { clock, state, queue } = world();
    state.pass = () => Promise.reject(new Error('no bucket'));
    for (let minutes = 0; minutes <= 60; minutes += 30) {
      await assert.rejects(queue.pass(never));
      assert.equal(queue.status().trouble, undefined);
      await clock.advance(30 * MINUTE_MS);
    }
    const { trouble } = queue.status();
    assert.equal(trouble?.kind, 'failing');
    assert.equal(trouble.message, 'compaction: no pass has succeeded for 90 minutes: no bucket');
    state.pass = () => Promise.resolve(done);
    await queue.pass(never);
    assert.equal(queue.status().trouble, undefined);
  });

  test('a pass that goes on for long hangs unless its jobs get on', async () => {
    const { clock, state, queue } = world();
    const pass = Promise.withResolvers<PassResult>();
    state.pass = () => pass.promise;
    const running = queue.pass(never);
    for (let hours = 0; hours < 5; hours++) {
      await clock.advance(50 * MINUTE_MS);
      state.signMs = clock.now();
      assert.equal(queue.status().trouble, undefined);
    }
    await clock.advance(61 * MINUTE_MS);
    assert.equal(queue.status().trouble?.kind, 'hanging');
    assert.match(queue.status().trouble!.message, /nothing has come of the pass .* 61 minutes/);
    pass.resolve(done);
    await running;
    assert.equal(queue.status().trouble, undefined);
  });
});
