import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeDisk } from './disk.ts';

async function temporary(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'hindsight-disk-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test('a listing follows links, and leaves out those that lead nowhere', async () => {
  await using directory = await temporary();
  const at = (name: string) => join(directory.path, name);
  await mkdir(at('real'));
  await writeFile(at('real/file.yml'), '');
  await symlink('real', at('data'));
  await symlink('data/file.yml', at('file.yml'));
  await symlink('nowhere', at('broken'));
  assert.deepEqual(await nodeDisk.list(directory.path), [
    { name: 'data', kind: 'directory', isLink: true },
    { name: 'file.yml', kind: 'file', isLink: true },
    { name: 'real', kind: 'directory' },
  ]);
});

test('a watch tells of a file that was written', async () => {
  await using directory = await temporary();
  const changed = Promise.withResolvers<unknown>();
  using _ = nodeDisk.watch(directory.path, changed.resolve);
  await writeFile(join(directory.path, 'file'), 'x');
  assert.equal(await changed.promise, undefined);
});
