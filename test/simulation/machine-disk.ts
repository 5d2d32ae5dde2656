import type { Disk, DirectoryEntry, FileStat } from '#/lib/disk.ts';
import type { FaultCounts } from './fault-counts.ts';
import type { Life } from './machine.ts';

/** A machine's disk as one life of it sees it: with faults, and with an end at any operation. */
export class MachineDisk implements Disk {
  readonly #disk: Disk;
  readonly #life: Life;
  readonly #fault: () => 'refused' | 'torn' | undefined;
  readonly #faults: FaultCounts;

  constructor(
    disk: Disk,
    {
      life,
      fault,
      faults,
    }: {
      readonly life: Life;
      /** What happens to the next operation. */
      readonly fault: () => 'refused' | 'torn' | undefined;
      readonly faults: FaultCounts;
    },
  ) {
    this.#disk = disk;
    this.#life = life;
    this.#fault = fault;
    this.#faults = faults;
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#run(`stat ${path}`, () => this.#disk.stat(path));
  }

  freeBytes(path: string): Promise<number> {
    return this.#run(`freeBytes ${path}`, () => this.#disk.freeBytes(path));
  }

  list(path: string): Promise<DirectoryEntry[]> {
    return this.#run(`list ${path}`, () => this.#disk.list(path));
  }

  read(path: string): Promise<Uint8Array> {
    return this.#run(`read ${path}`, () => this.#disk.read(path));
  }

  readRange(path: string, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    return this.#run(`readRange ${path}`, () => this.#disk.readRange(path, offset, length, into));
  }

  write(path: string, bytes: Uint8Array): Promise<void> {
    const torn = () => this.#disk.write(path, bytes.subarray(0, bytes.length >> 1));
    return this.#run(`write ${path}`, () => this.#disk.write(path, bytes), torn);
  }

  append(path: string, bytes: Uint8Array): Promise<void> {
    const torn = () => this.#disk.append(path, bytes.subarray(0, bytes.length >> 1));
    return this.#run(`append ${path}`, () => this.#disk.append(path, bytes), torn);
  }

  sync(path: string): Promise<void> {
    return this.#run(`sync ${path}`, () => this.#disk.sync(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run(`rename ${from} ${to}`, () => this.#disk.rename(from, to));
  }

  link(from: string, to: string): Promise<void> {
    return this.#run(`link ${from} ${to}`, () => this.#disk.link(from, to));
  }

  makeDirectory(path: string): Promise<void> {
    return this.#run(`makeDirectory ${path}`, () => this.#disk.makeDirectory(path));
  }

  remove(path: string): Promise<void> {
    return this.#run(`remove ${path}`, () => this.#disk.remove(path));
  }

  removeEmptyDirectory(path: string): Promise<boolean> {
    return this.#run(`removeEmptyDirectory ${path}`, () => this.#disk.removeEmptyDirectory(path));
  }

  watch(path: string, changed: () => void): Disposable {
    return this.#disk.watch(path, changed);
  }

  async #run<T>(operation: string, work: () => Promise<T>, torn?: () => Promise<void>): Promise<T> {
    const wasAlive = this.#life.isAlive;
    const begun = this.#life.begin(`disk.${operation}`);
    // A crash in the middle of a write leaves a part of it.
    if (wasAlive && !this.#life.isAlive) await this.#tear(torn)?.catch(() => undefined);
    await begun;
    const fault = this.#fault();
    if (fault === undefined) return this.#life.guard(this.#noticingFull(work()));
    if (fault === 'refused' || torn === undefined) this.#faults.happened('disk-error');
    else await this.#tear(torn);
    throw Object.assign(new Error(`EIO: ${operation}`), { code: 'EIO' });
  }

  #tear(torn: (() => Promise<void>) | undefined): Promise<void> | undefined {
    if (torn !== undefined) this.#faults.happened('torn-write');
    return torn?.();
  }

  async #noticingFull<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (thrown) {
      if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOSPC') {
        this.#faults.happened('full-disk');
      }
      throw thrown;
    }
  }
}
