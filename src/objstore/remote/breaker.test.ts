import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { Breaker } from './breaker.ts';
import type { BreakerState } from './breaker.ts';

function setUp() {
  const clock = new ManualClock(Date.UTC(2030, 0, 1));
  const states: BreakerState[] = [];
  const breaker = new Breaker({
    clock,
    random: { next: () => 0.5 },
    name: 's3://bucket',
    changed: (state) => states.push(state),
  });
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) breaker.failed('nothing listens there');
  };
  return { clock, breaker, states, fail };
}

test('a short trouble, or a few failures among successes, does not open it', async () => {
  const { clock, breaker, fail } = setUp();
  fail(100);
  assert.equal(breaker.state, 'closed');
  breaker.answered();
  for (let i = 0; i < 100; i++) {
    await clock.advance(1000);
    fail(2);
    breaker.answered();
  }
  assert.equal(breaker.state, 'closed');
});

test('it opens, lets one request through after a rest, and rests longer if that fails', async () => {
  const { clock, breaker, states, fail } = setUp();
  fail(9);
  await clock.advance(5000);
  fail(1);
  assert.equal(breaker.state, 'open');
  assert.throws(
    () => breaker.enter(),
    new UnavailableError(
      's3://bucket is out of reach since 2030-01-01T00:00:00.000Z, and is tried again in 2 s: nothing listens there',
    ),
  );
  await clock.advance(2000);
  breaker.check();
  breaker.enter();
  assert.throws(() => breaker.enter(), /is tried again at this moment/);
  fail(1);
  await clock.advance(3999);
  assert.throws(() => breaker.enter(), /is tried again in 1 s/);
  await clock.advance(1);
  breaker.enter();
  breaker.answered();
  breaker.enter();
  breaker.enter();
  assert.deepEqual(states, ['open', 'half-open', 'open', 'half-open', 'closed']);
});

test('it opens when nine of ten requests fail for a while', async () => {
  const { clock, breaker, fail } = setUp();
  for (let i = 0; i < 8; i++) {
    fail(9);
    breaker.answered();
    await clock.advance(1000);
  }
  assert.equal(breaker.state, 'open');
});

test('a probe whose caller gave up makes room for another', async () => {
  const { clock, breaker, fail } = setUp();
  fail(1);
  await clock.advance(5000);
  fail(10);
  await clock.advance(2000);
  breaker.enter();
  breaker.abandoned();
  breaker.enter();
  assert.equal(breaker.state, 'half-open');
});
