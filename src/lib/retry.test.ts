import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from './manual-clock.ts';
import { untilSuccess } from './retry.ts';

test('untilSuccess() tries again after each interval and tells of every failure', async () => {
  const clock = new ManualClock();
  const failures: unknown[] = [];
  let tries = 0;
  const work = async () => {
    if (++tries < 3) throw new Error(`try ${tries}`);
    return tries;
  };
  const { signal } = new AbortController();
  const done = untilSuccess(clock, 10, signal, work, (thrown) => failures.push(String(thrown)));
  await clock.advance(0);
  await clock.advance(20);
  assert.equal(await done, 3);
  assert.deepEqual(failures, ['Error: try 1', 'Error: try 2']);
});

test('untilSuccess() ends with the signal’s reason', async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const never = () => Promise.reject(new Error('no'));
  const done = untilSuccess(clock, 10, stop.signal, never, () => undefined);
  const rejected = assert.rejects(done, /stopping/);
  await clock.advance(0);
  await clock.advance(15);
  stop.abort(new Error('stopping'));
  await rejected;
});
