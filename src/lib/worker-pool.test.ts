import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Calculation } from './testdata/calculator.worker.ts';
import { WorkerPool } from './worker-pool.ts';

const entry = new URL('./testdata/calculator.worker.ts', import.meta.url);
const never = new AbortController().signal;

function newPool(size: number) {
  return new WorkerPool<Calculation, number>(entry, size);
}

/** A request that a thread works on until `open()`. */
function blocking() {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const open = () => {
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
  };
  return { request: { kind: 'wait', gate } as const, open };
}

test('a pool answers more requests than it has threads', async () => {
  await using pool = newPool(2);
  const requests = Array.from({ length: 20 }, (_, of) => pool.run({ kind: 'square', of }, never));
  assert.deepEqual(
    await Promise.all(requests),
    Array.from({ length: 20 }, (_, i) => i ** 2),
  );
});

test('a pool starts no more threads than its size, and fewer if they suffice', async () => {
  await using pool = newPool(2);
  const first = await pool.run({ kind: 'birth' }, never);
  assert.equal(await pool.run({ kind: 'birth' }, never), first);
  const many = Array.from({ length: 12 }, () => pool.run({ kind: 'birth' }, never));
  assert.equal(new Set(await Promise.all(many)).size, 2);
});

test('what the function in the thread throws rejects that request alone', async () => {
  await using pool = newPool(1);
  await assert.rejects(
    pool.run({ kind: 'throw' }, never),
    /in a worker thread: RangeError: no such/,
  );
  assert.equal(await pool.run({ kind: 'square', of: 3 }, never), 9);
});

test('a thread that dies fails what it had, and another answers the rest', async () => {
  await using pool = newPool(1);
  const other = new AbortController().signal;
  const lost = [{ kind: 'die' }, { kind: 'square', of: 2 }] as const;
  const [dying, behind, later] = await Promise.allSettled([
    ...lost.map((request) => pool.run(request, never)),
    pool.run({ kind: 'square', of: 5 }, other),
  ]);
  assert.match(
    String(dying?.status === 'rejected' && dying.reason),
    /died .*exit code 3.*ask again/,
  );
  assert.equal(behind?.status, 'rejected');
  assert.deepEqual(later, { status: 'fulfilled', value: 25 });
});

test('what waits under the signal of a request that killed its thread fails with it', async () => {
  await using pool = newPool(1);
  const requests = Array.from({ length: 6 }, () => pool.run({ kind: 'die' }, never));
  const outcomes = await Promise.allSettled(requests);
  assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  const thrown = new Set(
    outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason),
  );
  assert.equal(thrown.size, 1, 'one death was the end of all');
});

test('an aborted request is dropped while it waits in line', async () => {
  await using pool = newPool(1);
  const { request, open } = blocking();
  const running = [pool.run(request, never), pool.run({ kind: 'square', of: 2 }, never)];
  const stop = new AbortController();
  const waiting = pool.run({ kind: 'die' }, stop.signal);
  stop.abort(new Error('no longer wanted'));
  await assert.rejects(waiting, /no longer wanted/);
  open();
  assert.deepEqual(await Promise.all(running), [1, 4]);
});

test('a stopped pool fails what is running and takes nothing more', async () => {
  const pool = newPool(1);
  const { request } = blocking();
  const running = assert.rejects(pool.run(request, never), { name: 'UnavailableError' });
  await pool[Symbol.asyncDispose]();
  await running;
  await assert.rejects(pool.run({ kind: 'square', of: 1 }, never), /have been stopped/);
});

test('a process waits for answers, and not for idle threads', async () => {
  const program = `
    const { WorkerPool } = await import(${JSON.stringify(import.meta.resolve('./worker-pool.ts'))});
    const pool = new WorkerPool(new URL(${JSON.stringify(entry.href)}), 2);
    void pool.run({ kind: 'square', of: 7 }, new AbortController().signal).then(console.log);`;
  const args = ['--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  assert.equal(stdout, '49\n');
});
