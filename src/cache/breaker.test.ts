import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { BreakerOpenError, CircuitBreaker } from './breaker.ts';

const config = {
  halfOpenMaxRequests: 2,
  openMs: 5000,
  minRequests: 4,
  consecutiveFailures: 3,
  failurePercent: 0.5,
};
const good = () => Promise.resolve('good');
const bad = () => Promise.reject(new Error('bad'));

function newBreaker(overrides: Partial<typeof config> = {}) {
  const clock = new ManualClock(1000);
  const breaker = new CircuitBreaker({ ...config, ...overrides }, clock);
  const fail = async (times: number) => {
    for (let i = 0; i < times; i++) await assert.rejects(breaker.run(bad), /bad/);
  };
  return { clock, breaker, fail };
}

test('enough failures in a row open the breaker, but not before enough requests', async () => {
  const { breaker, fail } = newBreaker({ failurePercent: 1 });
  await fail(3);
  assert.equal(breaker.isOpen, false);
  await fail(1);
  assert.equal(breaker.isOpen, true);
  await assert.rejects(breaker.run(good), BreakerOpenError);
});

test('a share of failures opens the breaker', async () => {
  const { breaker, fail } = newBreaker({ consecutiveFailures: 100 });
  await breaker.run(good);
  await fail(1);
  await breaker.run(good);
  assert.equal(breaker.isOpen, false);
  await fail(1);
  assert.equal(breaker.isOpen, true);
});

test('after a while a few requests pass; their success closes it, a failure opens it again', async () => {
  const { clock, breaker, fail } = newBreaker();
  await fail(4);
  await clock.advance(5000);
  const [first, second] = [breaker.run(good), breaker.run(good)];
  assert.equal(breaker.isOpen, true, 'no more than two pass');
  await Promise.all([first, second]);
  assert.equal(breaker.isOpen, false);
  await fail(4);
  await clock.advance(5000);
  await fail(1);
  assert.equal(breaker.isOpen, true);
  await clock.advance(4999);
  assert.equal(breaker.isOpen, true);
  await clock.advance(1);
  assert.equal(await breaker.run(good), 'good');
});

test('failures of long ago do not count, nor what began before the state changed', async () => {
  const { clock, breaker, fail } = newBreaker();
  await fail(3);
  await clock.advance(10_000);
  await fail(3);
  assert.equal(breaker.isOpen, false);
  const late = Promise.withResolvers<string>();
  const running = breaker.run(() => late.promise);
  await fail(1);
  await clock.advance(5000);
  late.resolve('late');
  await running;
  await fail(1);
  assert.equal(breaker.isOpen, true, 'the late success was none of the two that close it');
});
