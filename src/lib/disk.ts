import { watch } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What a directory holds, one level deep. */
export interface DirectoryEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory';
  /** Set when the name is a symbolic link; `kind` is then that of what it leads to. */
  readonly isLink?: true;
}

export interface FileStat {
  readonly kind: 'file' | 'directory';
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** The same for every name of one file, different for any two files that exist at once. */
  readonly inode: number;
}

/**
 * Local files as the components see them. Paths are absolute. A missing file is `undefined` where
 * asking is the point (`stat`) and an error with `code: 'ENOENT'` where it is not.
 */
export interface Disk {
  stat(path: string): Promise<FileStat | undefined>;
  /** Bytes that can still be written to the file system of an existing path. */
  freeBytes(path: string): Promise<number>;
  /** Entries in name order; links that lead nowhere are left out. */
  list(path: string): Promise<DirectoryEntry[]>;
  read(path: string): Promise<Uint8Array>;
  /**
   * Up to `length` bytes from `offset`; shorter only at the end of the file. They may be put into
   * `into`, which has room for them, and are then a view of it: memory of its own for every read costs
   * more than the reading.
   */
  readRange(path: string, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Creates or replaces the file, its directory included; the bytes are on the medium when it resolves. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Adds to the end of the file, creating it if it is missing. Durable only after `sync`. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Resolves when what was written to the file, or the names in the directory, are on the medium. */
  sync(path: string): Promise<void>;
  /** Replaces `to` in one step; both are on one file system. */
  rename(from: string, to: string): Promise<void>;
  /** A second name for the same bytes; fails with `code: 'EEXIST'` if `to` is taken. */
  link(from: string, to: string): Promise<void>;
  /** Creates the directory and its parents; an existing one is fine. */
  makeDirectory(path: string): Promise<void>;
  /** Removes a file or a whole directory; a missing one is fine. */
  remove(path: string): Promise<void>;
  /** Removes the directory if nothing is in it; says whether it is gone. */
  removeEmptyDirectory(path: string): Promise<boolean>;
  /**
   * Calls `changed` soon after names or files in the directory change, one level deep, until it is
   * disposed; with the failure when it cannot go on. A hint, not a promise: changes may be missed
   * and told twice. @throws when there is no such directory.
   */
  watch(path: string, changed: (failure?: Error) => void): Disposable;
}

export const nodeDisk: Disk = {
  async stat(path) {
    try {
      const stat = await fs.stat(path);
      return {
        kind: stat.isDirectory() ? 'directory' : 'file',
        sizeBytes: stat.size,
        modifiedMs: stat.mtimeMs,
        inode: stat.ino,
      };
    } catch (thrown) {
      if (isMissing(thrown)) return undefined;
      throw thrown;
    }
  },

  async freeBytes(path) {
    const { bavail, bsize } = await fs.statfs(path);
    return bavail * bsize;
  },

  async list(path) {
    const names = await fs.readdir(path, { withFileTypes: true });
    const entries = await Promise.all(
      names.map(async (entry): Promise<DirectoryEntry | undefined> => {
        const { name } = entry;
        if (entry.isFile()) return { name, kind: 'file' };
        if (entry.isDirectory()) return { name, kind: 'directory' };
        if (!entry.isSymbolicLink()) return undefined;
        const target = await nodeDisk.stat(join(path, name));
        return target && { name, kind: target.kind, isLink: true };
      }),
    );
    return entries
      .filter((entry) => entry !== undefined)
      .sort((left, right) => (left.name < right.name ? -1 : 1));
  },

  read: (path) => fs.readFile(path),

  async readRange(path, offset, length, into) {
    await using file = await fs.open(path, 'r');
    const bytes = into ?? new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  },

  async write(path, bytes) {
    await fs.mkdir(dirname(path), { recursive: true });
    await using file = await fs.open(path, 'w');
    await file.writeFile(bytes);
    await file.sync();
  },

  append: (path, bytes) => fs.appendFile(path, bytes),

  sync: syncPath,

  async rename(from, to) {
    await fs.rename(from, to);
    await syncPath(dirname(to)); // A rename is durable only once the directory that holds the name is.
  },

  link: (from, to) => fs.link(from, to),

  async makeDirectory(path) {
    await fs.mkdir(path, { recursive: true });
  },

  remove: (path) => fs.rm(path, { recursive: true, force: true }),

  async removeEmptyDirectory(path) {
    try {
      await fs.rmdir(path);
      return true;
    } catch (thrown) {
      if (isMissing(thrown)) return true;
      if (hasCode(thrown, 'ENOTEMPTY') || hasCode(thrown, 'EEXIST')) return false;
      throw thrown;
    }
  },

  watch(path, changed) {
    const watcher = watch(path, () => changed());
    watcher.on('error', changed);
    return { [Symbol.dispose]: () => watcher.close() };
  },
};

/** Whether `thrown` says that a file does not exist. */
export function isMissing(thrown: unknown): boolean {
  return hasCode(thrown, 'ENOENT');
}

/** Whether `thrown` says that a name is taken already. */
export function isTaken(thrown: unknown): boolean {
  return hasCode(thrown, 'EEXIST');
}

function hasCode(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === code;
}

async function syncPath(path: string): Promise<void> {
  await using file = await fs.open(path, 'r');
  await file.sync();
}
