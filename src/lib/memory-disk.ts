import { dirname } from 'node:path';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import type { DirectoryEntry, Disk, FileStat } from './disk.ts';
import { InjectedFault } from './faults.ts';
import type { FaultPlan } from './faults.ts';

interface File {
  readonly inode: number;
  bytes: Uint8Array;
  modifiedMs: number;
}

interface MemoryDiskOptions {
  /** Where modification times come from. */
  readonly clock?: Pick<Clock, 'now'>;
  readonly faults?: FaultPlan;
}

/**
 * A `Disk` in memory with the semantics of a POSIX file system: hard links share their bytes, so
 * writing to one name changes the others; a rename replaces in one step. `faults` may be changed
 * at any time, as at a restart.
 */
export class MemoryDisk implements Disk {
  faults: FaultPlan | undefined;
  /** No room is left: what needs more fails with `code: 'ENOSPC'`, and a file that was begun is empty. */
  full = false;
  /** What `freeBytes` goes by; writes are not refused. */
  capacityBytes = Number.POSITIVE_INFINITY;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #files = new Map<string, File>();
  /** Each with the inode that `stat` shows. */
  readonly #directories = new Map<string, number>([['/', 0]]);
  readonly #watchers = new Map<string, Set<() => void>>();
  #inodes = 1;

  constructor(options: MemoryDiskOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.faults = options.faults;
  }

  /** Every file's path, sorted; for tests. */
  get paths(): string[] {
    return [...this.#files.keys()].sort();
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#run(`disk.stat ${path}`, () => {
      const file = this.#files.get(path);
      if (file !== undefined) {
        const { inode, modifiedMs, bytes } = file;
        return { kind: 'file', sizeBytes: bytes.length, modifiedMs, inode };
      }
      const inode = this.#directories.get(path);
      if (inode === undefined) return undefined;
      return { kind: 'directory', sizeBytes: 0, modifiedMs: 0, inode };
    });
  }

  /** As much as `capacityBytes` says, less what the files hold. */
  freeBytes(path: string): Promise<number> {
    return this.#run(`disk.freeBytes ${path}`, () => {
      let used = 0;
      for (const { bytes } of this.#files.values()) used += bytes.length;
      return this.full ? 0 : this.capacityBytes - used;
    });
  }

  list(path: string): Promise<DirectoryEntry[]> {
    return this.#run(`disk.list ${path}`, () => {
      if (this.#files.has(path)) throw systemError('ENOTDIR', 'scandir', path);
      if (!this.#directories.has(path)) throw systemError('ENOENT', 'scandir', path);
      return this.#entries(path);
    });
  }

  read(path: string): Promise<Uint8Array> {
    return this.#run(`disk.read ${path}`, () => this.#file('open', path).bytes.slice());
  }

  readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#run(`disk.readRange ${path}`, () =>
      this.#file('open', path).bytes.slice(offset, offset + length),
    );
  }

  write(path: string, bytes: Uint8Array): Promise<void> {
    return this.#run(`disk.write ${path}`, (torn) => {
      this.#makeDirectory(dirname(path));
      const file = this.#openForWriting(path);
      file.bytes = new Uint8Array();
      this.#needRoom('write', path);
      file.bytes = torn ? bytes.slice(0, bytes.length >> 1) : bytes.slice();
      this.#changed(path);
    });
  }

  append(path: string, bytes: Uint8Array): Promise<void> {
    return this.#run(`disk.append ${path}`, (torn) => {
      this.#directoryOf('open', path);
      const file = this.#openForWriting(path);
      this.#needRoom('write', path);
      const added = torn ? bytes.subarray(0, bytes.length >> 1) : bytes;
      const grown = new Uint8Array(file.bytes.length + added.length);
      grown.set(file.bytes);
      grown.set(added, file.bytes.length);
      file.bytes = grown;
      this.#changed(path);
    });
  }

  sync(path: string): Promise<void> {
    return this.#run(`disk.sync ${path}`, () => {
      if (!this.#directories.has(path)) this.#file('open', path);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run(`disk.rename ${from} ${to}`, () => {
      this.#directoryOf('rename', to);
      if (this.#directories.has(from)) this.#renameDirectory(from, to);
      else {
        const file = this.#file('rename', from);
        if (this.#directories.has(to)) throw systemError('EISDIR', 'rename', to);
        this.#files.delete(from);
        this.#files.set(to, file);
      }
      this.#changed(from);
      this.#changed(to);
    });
  }

  link(from: string, to: string): Promise<void> {
    return this.#run(`disk.link ${from} ${to}`, () => {
      const file = this.#file('link', from);
      this.#directoryOf('link', to);
      if (this.#files.has(to) || this.#directories.has(to)) throw systemError('EEXIST', 'link', to);
      this.#needRoom('link', to);
      this.#files.set(to, file);
      this.#changed(to);
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#run(`disk.makeDirectory ${path}`, () => this.#makeDirectory(path));
  }

  remove(path: string): Promise<void> {
    return this.#run(`disk.remove ${path}`, () => {
      this.#files.delete(path);
      this.#directories.delete(path);
      for (const name of this.#below(path, this.#files)) this.#files.delete(name);
      for (const name of this.#below(path, this.#directories)) this.#directories.delete(name);
      this.#changed(path);
    });
  }

  removeEmptyDirectory(path: string): Promise<boolean> {
    return this.#run(`disk.removeEmptyDirectory ${path}`, () => {
      if (this.#entries(path).length > 0) return false;
      this.#directories.delete(path);
      this.#changed(path);
      return true;
    });
  }

  watch(path: string, changed: () => void): Disposable {
    if (!this.#directories.has(path)) throw systemError('ENOENT', 'watch', path);
    const watchers = this.#watchers.get(path) ?? new Set();
    this.#watchers.set(path, watchers.add(changed));
    return { [Symbol.dispose]: () => watchers.delete(changed) };
  }

  /** Later, as a kernel does: whoever changes something never hears of it in the middle. */
  #changed(path: string): void {
    const watchers = this.#watchers.get(dirname(path)) ?? [];
    for (const changed of watchers) queueMicrotask(changed);
  }

  async #run<T>(operation: string, work: (torn: boolean) => T): Promise<T> {
    await Promise.resolve();
    const fault = this.faults?.(operation);
    if (fault === 'refuse') throw new InjectedFault(fault, operation);
    if (fault === 'tear' && !/^disk\.(write|append) /.test(operation)) {
      throw new InjectedFault(fault, operation);
    }
    const result = work(fault === 'tear');
    if (fault !== undefined) throw new InjectedFault(fault, operation);
    return result;
  }

  #entries(path: string): DirectoryEntry[] {
    const names = (paths: Iterable<string>, kind: DirectoryEntry['kind']): DirectoryEntry[] =>
      [...paths]
        .filter((name) => name !== path && dirname(name) === path)
        .map((name) => ({ name: name.slice(path === '/' ? 1 : path.length + 1), kind }));
    return [
      ...names(this.#files.keys(), 'file'),
      ...names(this.#directories.keys(), 'directory'),
    ].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #file(call: string, path: string): File {
    const file = this.#files.get(path);
    if (file !== undefined) return file;
    throw systemError(this.#directories.has(path) ? 'EISDIR' : 'ENOENT', call, path);
  }

  #openForWriting(path: string): File {
    if (this.#directories.has(path)) throw systemError('EISDIR', 'open', path);
    let file = this.#files.get(path);
    if (file === undefined) {
      file = { inode: this.#inodes++, bytes: new Uint8Array(), modifiedMs: 0 };
      this.#files.set(path, file);
    }
    file.modifiedMs = this.#clock.now();
    return file;
  }

  #needRoom(call: string, path: string): void {
    if (this.full) throw systemError('ENOSPC', call, path);
  }

  #directoryOf(call: string, path: string): void {
    if (!this.#directories.has(dirname(path))) throw systemError('ENOENT', call, path);
  }

  #makeDirectory(path: string): void {
    if (this.#directories.has(path)) return;
    if (this.#files.has(path)) throw systemError('EEXIST', 'mkdir', path);
    this.#needRoom('mkdir', path);
    this.#makeDirectory(dirname(path));
    this.#directories.set(path, this.#inodes++);
    this.#changed(path);
  }

  #renameDirectory(from: string, to: string): void {
    if (this.#files.has(to)) throw systemError('ENOTDIR', 'rename', to);
    if (this.#directories.has(to) && this.#entries(to).length > 0) {
      throw systemError('ENOTEMPTY', 'rename', to);
    }
    const moved = (name: string) => to + name.slice(from.length);
    for (const name of [from, ...this.#below(from, this.#directories)]) {
      const inode = this.#directories.get(name)!;
      this.#directories.delete(name);
      this.#directories.set(moved(name), inode);
    }
    for (const name of this.#below(from, this.#files)) {
      const file = this.#files.get(name)!;
      this.#files.delete(name);
      this.#files.set(moved(name), file);
    }
  }

  #below(path: string, names: ReadonlyMap<string, unknown>): string[] {
    return [...names.keys()].filter((name) => name.startsWith(`${path}/`));
  }
}

function systemError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, syscall: call });
}
