import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { concurrently } from './concurrently.ts';

const never = new AbortController().signal;

describe('concurrently()', () => {
  test('works on every item, with no more than the limit at once', async () => {
    const done: number[] = [];
    let running = 0;
    let most = 0;
    await concurrently(3, [1, 2, 3, 4, 5, 6, 7], never, async (item) => {
      most = Math.max(most, ++running);
      await turn();
      running--;
      done.push(item);
    });
    assert.equal(most, 3);
    assert.deepEqual(
      done.sort((a, b) => a - b),
      [1, 2, 3, 4, 5, 6, 7],
    );
  });

  test('stops at the first failure, tells the others, and waits for them', async () => {
    const started: number[] = [];
    let told = false;
    const failing = concurrently(2, [1, 2, 3, 4], never, async (item, signal) => {
      started.push(item);
      await turn();
      if (item === 1) throw new Error('one failed');
      await turn();
      told = signal.aborted;
    });
    await assert.rejects(failing, /one failed/);
    assert.deepEqual(started, [1, 2]);
    assert.ok(told);
  });

  test('throws what the items throw, and the reason of its signal', async () => {
    async function* items() {
      yield 1;
      await turn();
      throw new Error('no more items');
    }
    await assert.rejects(
      concurrently(2, items(), never, () => Promise.resolve()),
      /no more items/,
    );
    const stopped = AbortSignal.abort(new Error('stopped'));
    await assert.rejects(
      concurrently(2, [1], stopped, () => Promise.resolve()),
      /stopped/,
    );
  });
});
