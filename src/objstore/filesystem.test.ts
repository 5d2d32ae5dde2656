import { hash } from 'node:crypto';
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import { FaultAt } from '#/lib/faults.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom, systemRandom } from '#/lib/random.ts';
import { FilesystemBucket } from './filesystem.ts';
import { bucketSuite, names } from './testing/bucket-suite.ts';

const root = mkdtempSync(join(tmpdir(), 'bucket-'));
after(() => rm(root, { recursive: true }));

const onDisk = { disk: nodeDisk, clock: systemClock, random: systemRandom };
let directories = 0;
bucketSuite('FilesystemBucket', {
  open: () => Promise.resolve(new FilesystemBucket(join(root, String(directories++)), onDisk)),
  flatNames: false,
  listed: 60,
});
bucketSuite('FilesystemBucket on a disk in memory', {
  open: () => Promise.resolve(new FilesystemBucket('/data', { ...onDisk, disk: new MemoryDisk() })),
  flatNames: false,
  listed: 50,
});

describe('FilesystemBucket', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const inMemory = () => {
    const clock = new ManualClock(1_000_000_000);
    const disk = new MemoryDisk({ clock });
    const bucket = new FilesystemBucket('/data', { disk, clock, random: seededRandom(1) });
    return { bucket, disk, clock };
  };

  test('makes a linked file and an object two names of the same bytes, both ways', async () => {
    const { bucket, disk } = inMemory();
    await disk.write('/local/a', bytes('0123'));
    await bucket.upload('b/a', bytes('not asked for'), { link: { disk, path: '/local/a' } });
    const link = { disk, path: '/local/b' };
    assert.deepEqual(await Array.fromAsync(bucket.readStream('b/a', { link })), []);
    const inodes = ['/local/a', '/data/b/a', '/local/b'].map(async (path) => disk.stat(path));
    assert.equal(new Set((await Promise.all(inodes)).map((stat) => stat?.inode)).size, 1);
    assert.deepEqual(disk.paths, ['/data/b/a', '/local/a', '/local/b']);
  });

  test('copies where a link is of another disk, or not to be had', async () => {
    const { bucket, disk } = inMemory();
    const elsewhere = new MemoryDisk();
    const link = (path: string) => ({ disk: elsewhere, path });
    await bucket.upload('a', bytes('0123'), { link: link('/local/a') });
    const pieces = await Array.fromAsync(bucket.readStream('a', { link: link('/local/b') }));
    assert.deepEqual(pieces, [bytes('0123')]);
    assert.deepEqual(elsewhere.paths, []);

    const unlinkable = Object.assign(new Error('EXDEV'), { code: 'EXDEV', syscall: 'link' });
    disk.link = () => Promise.reject(unlinkable);
    await disk.write('/local/a', bytes('4567'));
    await bucket.upload('b', bytes('4567'), { link: { disk, path: '/local/a' } });
    const read = bucket.readStream('b', { link: { disk, path: '/local/b' } });
    assert.deepEqual(await Array.fromAsync(read), [bytes('4567')]);
  });

  test('takes no part of a read for the whole', async () => {
    const clock = new ManualClock(0);
    const memory = new MemoryDisk({ clock });
    const readRange = (path: string, offset: number, length: number) =>
      memory.readRange(path, offset, length - 1);
    const stat = (path: string) => memory.stat(path);
    const disk: Disk = { ...onDisk.disk, stat, readRange };
    const bucket = new FilesystemBucket('/data', { disk, clock, random: seededRandom(1) });
    await memory.write('/data/object', bytes('0123456789'));
    await assert.rejects(
      bucket.read('object', { offset: 2, length: 5 }),
      /read 4 of 5 bytes from 2/,
    );
  });

  test('keeps names inside its directory', async () => {
    const { bucket } = inMemory();
    for (const name of [
      '',
      '/etc/passwd',
      '../x',
      'a/../../x',
      'a//b',
      './a',
      'a\0b',
      'a\\..\\b',
    ]) {
      await assert.rejects(bucket.upload(name, bytes('x')), BadInputError, name);
      await assert.rejects(bucket.read(name), BadInputError);
      await assert.rejects(bucket.remove(name), BadInputError);
    }
    await assert.rejects(Array.fromAsync(bucket.list('../')), BadInputError);
    await assert.rejects(bucket.upload('.hindsight-tmp/x', bytes('x')), BadInputError);
  });

  test('hides directories without files and never removes a directory for an object', async () => {
    const { bucket, disk } = inMemory();
    await disk.makeDirectory('/data/empty/in/empty');
    await bucket.upload('dir/file', bytes('x'));
    await bucket.remove('dir');
    assert.deepEqual(await names(bucket, ''), ['dir/']);
  });

  test('says that an object cannot be a directory', async () => {
    const bucket = new FilesystemBucket(join(root, 'nested'), onDisk);
    await bucket.upload('file', bytes('x'));
    await assert.rejects(
      bucket.upload('file/below', bytes('x')),
      /cannot upload "file\/below": .*; an object cannot be a directory of other objects here$/,
    );
  });

  test('shows whole objects only, wherever an upload stops', async () => {
    for (let at = 0; ; at++) {
      const { bucket, disk } = inMemory();
      await bucket.upload('object', bytes('old'));
      const faults = new FaultAt(at, 'tear', true);
      disk.faults = faults.plan;
      await bucket.upload('object', bytes('the new one')).catch(() => undefined);
      disk.faults = undefined;
      const found = new TextDecoder().decode(await bucket.read('object'));
      assert.ok(['old', 'the new one'].includes(found), `${found} after a stop at ${at}`);
      assert.deepEqual(await names(bucket, '', { recursive: true }), ['object']);
      if (faults.count <= at) break;
    }
  });

  test('has new directories on the medium before an upload is done', async () => {
    const { bucket, disk } = inMemory();
    await disk.makeDirectory('/data');
    const synced: string[] = [];
    disk.faults = (operation) => {
      if (operation.startsWith('disk.sync')) synced.push(operation);
      return undefined;
    };
    await bucket.upload('a/b/object', bytes('x'));
    assert.deepEqual(synced, ['disk.sync /data', 'disk.sync /data/a']);
    synced.length = 0;
    await bucket.upload('a/b/other', bytes('x'));
    assert.deepEqual(synced, []);
  });

  test('removes leftovers of dead processes after a day, and breaks their locks', async () => {
    const { bucket, disk, clock } = inMemory();
    await bucket.upload('object', bytes('one'));
    const version = (await bucket.attributes('object'))!.version;
    // The process dies at the rename, with the lock in its hands.
    disk.faults = new FaultAt(7, 'refuse', true).plan;
    await assert.rejects(bucket.upload('object', bytes('two'), { ifMatch: version }));
    disk.faults = undefined;
    assert.ok(disk.paths.some((path) => path.startsWith('/data/.hindsight-tmp/lock-')));

    const retry = bucket.upload('object', bytes('three'), { ifMatch: version });
    await clock.advance(61_000);
    await retry;
    assert.equal(new TextDecoder().decode(await bucket.read('object')), 'three');

    await clock.advance(25 * 3_600_000);
    await bucket.removeLeftovers();
    assert.deepEqual(disk.paths, ['/data/object']);
  });

  test('takes a lock over at once from a process that is known to have ended', async () => {
    const clock = new ManualClock(1_000_000_000);
    const disk = new MemoryDisk({ clock });
    const ended = new Set<string>();
    const open = (identity: string, seed: number) => {
      const processes = {
        own: () => Promise.resolve(identity),
        hasEnded: (other: string) => Promise.resolve(ended.has(other)),
      };
      return new FilesystemBucket('/data', { disk, clock, random: seededRandom(seed), processes });
    };
    const [first, second] = [open('first', 1), open('second', 2)];
    await first.upload('object', bytes('one'));
    const version = (await first.attributes('object'))!.version;
    const lock = `/data/.hindsight-tmp/lock-${hash('sha256', 'object')}`;
    await disk.write(lock, bytes('first'));
    let done = false;
    const waiting = second.upload('object', bytes('three'), { ifMatch: version });
    void waiting.then(() => (done = true));
    await clock.advance(10_000);
    assert.equal(done, false, 'while it lives, its lock counts');
    ended.add('first');
    await clock.advance(10);
    await waiting;
    assert.equal(new TextDecoder().decode(await second.read('object')), 'three');
  });
});
