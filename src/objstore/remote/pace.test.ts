import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { Pace } from './pace.ts';

const { signal } = new AbortController();

function setUp(maxQps: number) {
  const clock = new ManualClock(1_000_000);
  const waits: number[] = [];
  const pace = new Pace({ clock, maxQps, name: 's3://bucket', waited: (ms) => waits.push(ms) });
  const went: number[] = [];
  const go = async (patienceMs = 60_000) => {
    if (!pace.tryEnter()) await pace.enter(signal, patienceMs);
    went.push(clock.now() - 1_000_000);
  };
  return { clock, pace, waits, went, go };
}

test('requests go evenly, in the order in which they came', async () => {
  const { clock, go, went, waits } = setUp(5);
  const order: number[] = [];
  for (const i of [0, 1, 2, 3, 4]) void go().then(() => order.push(i));
  await clock.advance(2000);
  assert.deepEqual(went, [0, 200, 400, 600, 800]);
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
  assert.deepEqual(waits, [200, 400, 600, 800]);
});

test('a tenth of a second’s requests may go at once', async () => {
  const { clock, go, went } = setUp(100);
  for (let i = 0; i < 12; i++) void go();
  await clock.advance(15);
  assert.equal(went.filter((at) => at === 0).length, 10);
  assert.equal(went.length, 11);
});

test('who gives up leaves the line, and who cannot be served in time does not join it', async () => {
  const { clock, go, pace, went } = setUp(1);
  const stop = new AbortController();
  void go();
  const second = pace.enter(stop.signal, 10_000);
  void go();
  stop.abort(new Error('enough'));
  await assert.rejects(second, /enough/);
  assert.equal(pace.waiting, 1);
  await assert.rejects(
    go(1500),
    new UnavailableError(
      's3://bucket: 1 requests wait already, which takes 2 s at 1 requests a second (--objstore.max-qps)',
    ),
  );
  await clock.advance(1000);
  assert.deepEqual(went, [0, 1000]);
});

test('a server that asks for fewer requests gets as many as it served, and then a little more', async () => {
  const { clock, go, pace, went } = setUp(0);
  assert.equal(pace.qps, 0);
  for (let i = 0; i < 10; i++) {
    void go();
    pace.succeeded();
  }
  pace.throttled(clock.now(), 0);
  assert.equal(pace.qps, 8);
  // What was on its way then tells nothing new.
  pace.throttled(clock.now() - 1, 0);
  assert.equal(pace.qps, 8);
  went.length = 0;
  for (let i = 0; i < 100; i++) void go();
  await clock.advance(1000);
  assert.ok(went.length >= 8 && went.length <= 9, String(went.length));
  await clock.advance(1000);
  assert.ok(pace.qps > 8 && pace.qps < 10, String(pace.qps));
  // Without further complaints the bound goes away.
  await clock.advance(300_000);
  void go();
  assert.equal(pace.qps, 0);
});

test('all requests stand still for as long as the server asks', async () => {
  const { clock, go, pace, went } = setUp(0);
  pace.throttled(clock.now(), 4000);
  void go();
  await clock.advance(3999);
  assert.equal(went.length, 0);
  await clock.advance(1);
  assert.equal(went.length, 1);
});

test('a closed bucket leaves no timer behind', async () => {
  const { clock, go, pace } = setUp(1);
  void go();
  void go();
  assert.equal(clock.sleeping, 1);
  pace.close();
  await clock.advance(0);
  assert.equal(clock.sleeping, 0);
});
