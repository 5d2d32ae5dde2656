import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isMissing, isTaken, nodeDisk } from './disk.ts';
import type { Disk } from './disk.ts';
import { FaultAt } from './faults.ts';
import { MemoryDisk } from './memory-disk.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (from: Uint8Array) => new TextDecoder().decode(from);

/** Both disks must answer alike. */
const disks: readonly [
  string,
  () => Promise<{ disk: Disk; root: string; close: () => Promise<void> }>,
][] = [
  [
    'nodeDisk',
    async () => {
      const root = await mkdtemp(join(tmpdir(), 'disk-'));
      return { disk: nodeDisk, root, close: () => rm(root, { recursive: true }) };
    },
  ],
  [
    'MemoryDisk',
    async () => {
      const disk = new MemoryDisk();
      await disk.makeDirectory('/root');
      return { disk, root: '/root', close: () => Promise.resolve() };
    },
  ],
];

for (const [name, open] of disks) {
  describe(name, () => {
    test('writes, appends and reads back whole files and ranges', async () => {
      const { disk, root, close } = await open();
      await disk.write(join(root, 'a/b/file'), bytes('hello'));
      await disk.append(join(root, 'a/b/file'), bytes(' world'));
      await disk.sync(join(root, 'a/b/file'));
      assert.equal(text(await disk.read(join(root, 'a/b/file'))), 'hello world');
      assert.equal(text(await disk.readRange(join(root, 'a/b/file'), 6, 100)), 'world');
      assert.equal((await disk.readRange(join(root, 'a/b/file'), 60, 5)).length, 0);
      assert.equal((await disk.stat(join(root, 'a/b/file')))?.sizeBytes, 11);
      await close();
    });

    test('tells missing files from others', async () => {
      const { disk, root, close } = await open();
      assert.equal(await disk.stat(join(root, 'none')), undefined);
      await assert.rejects(disk.read(join(root, 'none')), isMissing);
      await assert.rejects(disk.list(join(root, 'none')), isMissing);
      await assert.rejects(disk.append(join(root, 'none/file'), bytes('')), isMissing);
      await disk.remove(join(root, 'none'));
      await close();
    });

    test('links share their bytes and refuse a taken name; rename does not touch other links', async () => {
      const { disk, root, close } = await open();
      const [a, b, c] = ['a', 'b', 'c'].map((file) => join(root, file)) as [string, string, string];
      await disk.write(a, bytes('one'));
      await disk.link(a, b);
      assert.equal((await disk.stat(a))?.inode, (await disk.stat(b))?.inode);
      await disk.write(a, bytes('two'));
      assert.equal(text(await disk.read(b)), 'two');
      await disk.write(c, bytes('three'));
      await assert.rejects(disk.link(c, b), isTaken);
      await disk.rename(c, a);
      assert.equal(text(await disk.read(a)), 'three');
      assert.equal(text(await disk.read(b)), 'two');
      await close();
    });

    test('lists in name order, moves directories and removes only empty ones when asked so', async () => {
      const { disk, root, close } = await open();
      await disk.write(join(root, 'd/z'), bytes('1'));
      await disk.write(join(root, 'd/sub/x'), bytes('1'));
      assert.deepEqual(await disk.list(join(root, 'd')), [
        { name: 'sub', kind: 'directory' },
        { name: 'z', kind: 'file' },
      ]);
      await disk.rename(join(root, 'd'), join(root, 'e'));
      assert.equal(text(await disk.read(join(root, 'e/sub/x'))), '1');
      assert.equal(await disk.removeEmptyDirectory(join(root, 'e')), false);
      await disk.remove(join(root, 'e/sub/x'));
      assert.equal(await disk.removeEmptyDirectory(join(root, 'e/sub')), true);
      assert.equal(await disk.removeEmptyDirectory(join(root, 'gone')), true);
      await disk.remove(join(root, 'e'));
      assert.deepEqual(await disk.list(root), []);
      await close();
    });
  });
}

describe('MemoryDisk faults', () => {
  test('a refused write changes nothing, a torn one writes a part, a lost reply writes all', async () => {
    const disk = new MemoryDisk();
    await disk.write('/f', bytes('old'));
    const attempt = async (fault: 'refuse' | 'tear' | 'lose-reply') => {
      disk.faults = new FaultAt(0, fault, false).plan;
      await assert.rejects(disk.write('/f', bytes('1234')), /injected fault/);
      disk.faults = undefined;
      return text(await disk.read('/f'));
    };
    assert.equal(await attempt('refuse'), 'old');
    assert.equal(await attempt('tear'), '12');
    assert.equal(await attempt('lose-reply'), '1234');
  });

  test('after a crash every operation fails', async () => {
    const faults = new FaultAt(1, 'refuse', true);
    const disk = new MemoryDisk({ faults: faults.plan });
    await disk.write('/f', bytes('1'));
    await assert.rejects(disk.read('/f'));
    await assert.rejects(disk.read('/f'));
    assert.equal(faults.count, 3);
  });
});

test('a watch tells of changes one level deep until it is disposed', async () => {
  const disk = new MemoryDisk();
  await disk.makeDirectory('/rules/deep');
  let changes = 0;
  const watch = disk.watch('/rules', () => changes++);
  await disk.write('/rules/one.yml', Buffer.from('1'));
  assert.equal(changes, 1);
  await disk.write('/rules/deep/two.yml', Buffer.from('2'));
  await disk.write('/elsewhere/three.yml', Buffer.from('3'));
  assert.equal(changes, 1);
  await disk.rename('/elsewhere/three.yml', '/rules/three.yml');
  await disk.remove('/rules/one.yml');
  assert.equal(changes, 3);
  watch[Symbol.dispose]();
  await disk.write('/rules/one.yml', Buffer.from('1'));
  assert.equal(changes, 3);
  assert.throws(() => disk.watch('/nowhere', () => undefined), { code: 'ENOENT' });
});
