import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { Hedging } from './hedging.ts';

/** A server whose answers take as long as the test says; each is told by its number. */
function setUp({ upTo = 2, isCalm = true } = {}) {
  const clock = new ManualClock();
  const outcomes: string[] = [];
  const aborted: number[] = [];
  let sent = 0;
  const hedging = new Hedging({
    upTo,
    quantile: 0.9,
    clock,
    isCalm: () => isCalm,
    counted: (outcome) => outcomes.push(outcome),
  });
  /** Copies take so long, in turn. */
  const read = (...durations: readonly number[]) => {
    let copy = 0;
    return hedging.first(
      async (signal) => {
        const number = sent++;
        signal.addEventListener('abort', () => aborted.push(number), { once: true });
        await clock.sleep(durations[copy++] ?? 1_000_000, signal);
        return number;
      },
      () => undefined,
      undefined,
    );
  };
  const warmUp = async () => {
    for (let i = 0; i < 20; i++) {
      const answer = read(10);
      await clock.advance(10);
      await answer;
    }
    sent = 0;
  };
  return { clock, outcomes, aborted, read, warmUp, sent: () => sent };
}

test('nothing is sent twice before it is known what is slow', async () => {
  const { clock, read, sent } = setUp();
  const answer = read(100_000);
  await clock.advance(100_000);
  assert.equal(await answer, 0);
  assert.equal(sent(), 1);
});

test('a slow read is sent again; the first answer wins and the other copy is aborted', async () => {
  const { clock, read, warmUp, aborted, outcomes } = setUp();
  await warmUp();
  const answer = read(5000, 3);
  await clock.advance(13);
  assert.equal(await answer, 1);
  assert.deepEqual(aborted, [0]);
  assert.deepEqual(outcomes, ['won']);
  assert.equal(clock.sleeping, 0);
  const slow = read(15, 5000);
  await clock.advance(15);
  assert.equal(await slow, 2);
  assert.deepEqual(aborted, [0, 3]);
  assert.deepEqual(outcomes, ['won', 'lost']);
});

test('at most so many copies are sent, one after the other', async () => {
  const { clock, read, warmUp, sent } = setUp({ upTo: 3 });
  await warmUp();
  const answer = read(100, 100, 100, 100);
  await clock.advance(100);
  await answer;
  assert.equal(sent(), 3);
});

test('when everything is slow, or something is wrong, little is sent twice', async () => {
  const troubled = setUp({ isCalm: false });
  await troubled.warmUp();
  const once = troubled.read(100);
  await troubled.clock.advance(100);
  await once;
  assert.equal(troubled.sent(), 1);

  const { clock, read, warmUp, sent } = setUp();
  await warmUp();
  const answers = Array.from({ length: 200 }, () => read(500, 500));
  await clock.advance(500);
  await Promise.all(answers);
  // Ten at first, and a fifth of the reads.
  assert.ok(sent() <= 200 + 10 + 40, String(sent()));
});

test('fails when all copies have failed', async () => {
  const { clock } = setUp();
  const hedging = new Hedging({
    upTo: 2,
    quantile: 0.9,
    clock,
    isCalm: () => true,
    counted: () => undefined,
  });
  const failing = hedging.first(
    () => Promise.reject(new Error('no')),
    () => undefined,
    undefined,
  );
  await assert.rejects(failing, /no/);
});
