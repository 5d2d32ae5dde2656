import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gate } from './gate.ts';

test('a gate keeps its limit and the order of arrival', async () => {
  const gate = new Gate(2);
  const { signal } = new AbortController();
  const finish: (() => void)[] = [];
  const started: number[] = [];
  const runs = [0, 1, 2, 3].map((i) =>
    gate.run(signal, () => {
      started.push(i);
      return new Promise<void>((resolve) => finish.push(resolve));
    }),
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(started, [0, 1]);
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(gate.running <= 2);
    finish[i]!();
  }
  await Promise.all(runs);
  assert.deepEqual(started, [0, 1, 2, 3]);
  assert.equal(gate.running, 0);
});

test('who gives up while waiting leaves the line', async () => {
  const gate = new Gate(1);
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = gate.run(new AbortController().signal, () => promise);
  const giver = new AbortController();
  const second = gate.run(giver.signal, () => Promise.resolve('ran'));
  giver.abort(new Error('gone'));
  await assert.rejects(second, /gone/);
  assert.equal(gate.waiting, 0);
  resolve();
  await first;
  assert.equal(await gate.run(new AbortController().signal, () => Promise.resolve('ran')), 'ran');
});
