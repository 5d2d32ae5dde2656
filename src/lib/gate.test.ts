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

test('a client with many pieces of work does not hold up the first of another', async () => {
  const gate = new Gate(1);
  const { signal } = new AbortController();
  const order: string[] = [];
  const run = (client: string, name: string) =>
    gate.run(
      signal,
      async () => {
        order.push(name);
        await new Promise((resolve) => setImmediate(resolve));
      },
      client,
    );
  const many = Array.from({ length: 100 }, (_, i) => run('greedy', `greedy ${i}`));
  const few = ['modest 0', 'modest 1'].map((name) => run('modest', name));
  await Promise.all([...many, ...few]);
  assert.deepEqual(order.slice(0, 6), [
    'greedy 0',
    'greedy 1',
    'modest 0',
    'greedy 2',
    'modest 1',
    'greedy 3',
  ]);
  assert.equal(order.length, 102);
  assert.equal(gate.waiting, 0);
  assert.equal(gate.running, 0);
});
