import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadline } from './deadline.ts';
import { ManualClock } from './manual-clock.ts';

test('a deadline aborts after its time and says that it expired', async () => {
  const clock = new ManualClock();
  using limit = deadline(clock, 100);
  await clock.advance(99);
  assert.equal(limit.signal.aborted, false);
  await clock.advance(1);
  assert.equal(limit.expired, true);
  assert.equal((limit.signal.reason as Error).name, 'TimeoutError');
});

test('a deadline follows its parent and has not expired then', () => {
  const parent = new AbortController();
  using limit = deadline(new ManualClock(), 100, parent.signal);
  const reason = new Error('the client has gone');
  parent.abort(reason);
  assert.equal(limit.signal.reason, reason);
  assert.equal(limit.expired, false);
});

test('a disposed deadline leaves no sleeper behind', async () => {
  const clock = new ManualClock();
  const limit = deadline(clock, 100);
  limit[Symbol.dispose]();
  await clock.advance(0);
  assert.equal(clock.sleeping, 0);
});
