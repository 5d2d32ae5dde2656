import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { identityOf, nodeProcesses } from './node-processes.ts';

const skip = process.platform !== 'linux' && 'only Linux tells';

test('a process is known by its identity until it has ended', { skip }, async () => {
  const own = await nodeProcesses.own();
  assert.equal(await identityOf(String(process.pid)), own);
  assert.equal(await nodeProcesses.hasEnded(own!), false);
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)']);
  await once(child, 'spawn');
  const identity = await identityOf(String(child.pid));
  assert.notEqual(identity, own);
  assert.equal(await nodeProcesses.hasEnded(identity!), false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(await nodeProcesses.hasEnded(identity!), true);
});

test('of processes elsewhere, and of texts without sense, nothing is known', { skip }, async () => {
  const [boot, namespace] = (await nodeProcesses.own())!.split(' ');
  for (const identity of [
    '',
    'x',
    `other ${namespace} 1 1`,
    `${boot} pid:[1] 1 1`,
    `${boot} ${namespace} ../1 1`,
  ]) {
    assert.equal(await nodeProcesses.hasEnded(identity), false, identity);
  }
  // The number was given to another process since.
  assert.equal(await nodeProcesses.hasEnded(`${boot} ${namespace} ${process.pid} 1`), true);
});
