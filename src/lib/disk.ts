import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';

/** What a directory holds, one level deep. */
export interface DirectoryEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory';
}

export interface FileStat {
  readonly kind: 'file' | 'directory';
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/**
 * Local files as the components see them. Paths are absolute. A missing file is `undefined` where
 * asking is the point (`stat`) and an error with `code: 'ENOENT'` where it is not.
 */
export interface Disk {
  stat(path: string): Promise<FileStat | undefined>;
  /** Entries in name order. */
  list(path: string): Promise<DirectoryEntry[]>;
  read(path: string): Promise<Uint8Array>;
  /** Up to `length` bytes from `offset`; shorter only at the end of the file. */
  readRange(path: string, offset: number, length: number): Promise<Uint8Array>;
  /** Creates or replaces the file, its directory included; the bytes are on the medium when it resolves. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Adds to the end of the file, creating it if it is missing. Durable only after `sync`. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** The bytes of the file are on the medium when it resolves. */
  sync(path: string): Promise<void>;
  /** Replaces `to` in one step; both are on one file system. */
  rename(from: string, to: string): Promise<void>;
  /** A second name for the same bytes. */
  link(from: string, to: string): Promise<void>;
  /** Creates the directory and its parents; an existing one is fine. */
  makeDirectory(path: string): Promise<void>;
  /** Removes a file or a whole directory; a missing one is fine. */
  remove(path: string): Promise<void>;
}

export const nodeDisk: Disk = {
  async stat(path) {
    try {
      const stat = await fs.stat(path);
      return {
        kind: stat.isDirectory() ? 'directory' : 'file',
        sizeBytes: stat.size,
        modifiedMs: stat.mtimeMs,
      };
    } catch (thrown) {
      if (isMissing(thrown)) return undefined;
      throw thrown;
    }
  },

  async list(path) {
    const entries = await fs.readdir(path, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() || entry.isFile())
      .map((entry): DirectoryEntry => ({
        name: entry.name,
        kind: entry.isDirectory() ? 'directory' : 'file',
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  },

  read: (path) => fs.readFile(path),

  async readRange(path, offset, length) {
    await using file = await fs.open(path, 'r');
    const bytes = new Uint8Array(length);
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

  async sync(path) {
    await using file = await fs.open(path, 'r+');
    await file.sync();
  },

  async rename(from, to) {
    await fs.rename(from, to);
    await syncDirectory(dirname(to));
  },

  link: (from, to) => fs.link(from, to),

  async makeDirectory(path) {
    await fs.mkdir(path, { recursive: true });
  },

  remove: (path) => fs.rm(path, { recursive: true, force: true }),
};

/** Whether `thrown` says that a file does not exist. */
export function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
}

/** A rename is durable only once the directory that holds the name is. */
async function syncDirectory(path: string): Promise<void> {
  await using directory = await fs.open(path, 'r');
  await directory.sync();
}
