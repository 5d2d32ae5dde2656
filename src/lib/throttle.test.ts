import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from './manual-clock.ts';
import { Throttle } from './throttle.ts';

const START = 1_000_000;

/** When each of the amounts may go, in milliseconds from the start. */
async function timesOf(amounts: readonly number[], clock = new ManualClock(START)) {
  const throttle = new Throttle(clock, 1000);
  const times: number[] = [];
  const all = amounts.map(async (amount) => {
    await throttle.take(amount);
    times.push(clock.now() - START);
  });
  await clock.advance(0);
  await clock.advance(3_600_000);
  await Promise.all(all);
  return times;
}

describe('Throttle', () => {
  test("lets a second's worth go at once, and the rest at the rate", async () => {
    assert.deepEqual(await timesOf([500, 500, 500, 500, 100]), [0, 0, 0, 500, 1000]);
  });

  test('makes those behind a large one wait for it', async () => {
    assert.deepEqual(await timesOf([10_000, 1, 1]), [0, 9000, 9001]);
  });

  test("does not save up more than a second's worth", async () => {
    const clock = new ManualClock(START);
    const throttle = new Throttle(clock, 1000);
    await clock.advance(3_600_000);
    await throttle.take(1000);
    await throttle.take(1000);
    const third = throttle.take(1);
    assert.equal(clock.sleeping, 1);
    await clock.advance(1000);
    await third;
  });

  test('a clock that is set back makes nobody wait for it', async () => {
    const clock = new ManualClock(START);
    const throttle = new Throttle(clock, 1000);
    await throttle.take(3000);
    clock.set(START - 3_600_000);
    const next = throttle.take(1);
    await clock.advance(2000);
    await next;
  });

  test('stops waiting when it is told to', async () => {
    const stop = new AbortController();
    const throttle = new Throttle(new ManualClock(START), 1);
    await throttle.take(100);
    const waiting = throttle.take(1, stop.signal);
    stop.abort(new Error('stopped'));
    await assert.rejects(waiting, /stopped/);
  });
});
