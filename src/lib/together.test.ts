import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from './manual-clock.ts';
import { together } from './together.ts';

test('a failure stops the others and is what the caller hears of, after their end', async () => {
  const clock = new ManualClock();
  const ended: string[] = [];
  const all = together(new AbortController().signal, [
    (signal) => clock.sleep(1000, signal).finally(() => ended.push('long')),
    async (signal) => {
      await clock.sleep(10, signal);
      throw new Error('broken');
    },
    async () => void ended.push('short'),
  ]);
  const rejected = assert.rejects(all, /^Error: broken$/);
  await clock.advance(10);
  await rejected;
  assert.deepEqual(ended, ['short', 'long']);
});

test('an abort from above ends all quietly', async () => {
  const stop = new AbortController();
  const clock = new ManualClock();
  const all = together(stop.signal, [(signal) => clock.sleep(1000, signal)]);
  stop.abort();
  await all;
});
