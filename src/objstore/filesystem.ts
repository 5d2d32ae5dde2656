import { hash } from 'node:crypto';
import { dirname, join, posix, resolve } from 'node:path';
import type { Clock } from '#/lib/clock.ts';
import { isMissing, isTaken } from '#/lib/disk.ts';
import type { Disk, FileStat } from '#/lib/disk.ts';
import { BadInputError, NotFoundError, UnavailableError, messageOf } from '#/lib/errors.ts';
import type { Processes } from '#/lib/processes.ts';
import type { Random } from '#/lib/random.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { ConditionError } from './bucket.ts';
import type {
  Bucket,
  LinkedFile,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from './bucket.ts';
import { checkPrefix } from './names.ts';

interface FilesystemEffects {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Tells when the holder of a lock has died; without it, its age must. */
  readonly processes?: Processes;
}

/** Holds unfinished uploads and locks, out of sight of listings; no object name leads into it. */
const PRIVATE_DIRECTORY = '.hindsight-tmp';
/** What a process that died left behind is removed after this time. */
const LEFTOVER_MS = 24 * 3_600_000;
/** Whoever replaces under a lock needs milliseconds; an older lock belongs to a dead process, wherever. */
const LOCK_EXPIRY_MS = 60_000;
const LOCK_RETRY_MS = 5;
const PIECE_BYTES = 1024 * 1024;

/**
 * A directory as a bucket: an object is a file, a `/` in its name a directory. Thanos's FILESYSTEM
 * provider reads and writes the same layout. An object is written beside the tree and renamed into
 * place, so readers see it whole or not at all, and it is on the medium when `upload` resolves.
 *
 * Conditional writes hold between processes on one file system: creation is a hard link, which
 * fails on an existing name; replacement happens under a lock file and goes by inode, time and
 * size. It does not see an unconditional upload of the same object at the same moment.
 */
export class FilesystemBucket implements Bucket {
  readonly name: string;
  readonly #root: string;
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #processes: Processes | undefined;
  #identity: string | undefined;

  constructor(directory: string, effects: FilesystemEffects) {
    this.#root = resolve(directory);
    this.name = `file://${this.#root}`;
    this.#disk = effects.disk;
    this.#clock = effects.clock;
    this.#random = effects.random;
    this.#processes = effects.processes;
  }

  /** Removes what dead processes left of their uploads. */
  async removeLeftovers(): Promise<void> {
    const directory = join(this.#root, PRIVATE_DIRECTORY);
    for (const { name } of await this.#entries(directory)) {
      const path = join(directory, name);
      const stat = await this.#disk.stat(path);
      if (stat !== undefined && this.#clock.now() - stat.modifiedMs > LEFTOVER_MS) {
        await this.#disk.remove(path);
      }
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListEntry> {
    checkPrefix(prefix);
    if (prefix !== '') this.#path(prefix.slice(0, -1));
    yield* this.#list(prefix, options.recursive === true, options.signal);
  }

  async *#list(
    prefix: string,
    recursive: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ListEntry> {
    for (const name of await this.#names(prefix)) {
      signal?.throwIfAborted();
      if (!name.endsWith('/')) {
        const stat = await this.#disk.stat(join(this.#root, name));
        // Removed since the directory was read, which a listing may or may not see.
        if (stat?.kind !== 'file') continue;
        yield { name, sizeBytes: stat.sizeBytes, modifiedMs: stat.modifiedMs };
      } else if (recursive) yield* this.#list(name, recursive, signal);
      else if (await this.#holdsFiles(name)) yield { name };
    }
  }

  read(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    return this.#run('read', name, options.signal, async (path) => {
      const { offset = 0, length } = options;
      if (offset === 0 && length === undefined) return this.#disk.read(path);
      const { sizeBytes } = await this.#fileStat(name, path);
      const wanted = Math.min(length ?? sizeBytes, Math.max(0, sizeBytes - offset));
      if (wanted === 0) return new Uint8Array();
      const bytes = await this.#disk.readRange(path, offset, wanted);
      if (bytes.length === wanted) return bytes;
      throw new UnavailableError(
        `${this.name}/${name}: read ${bytes.length} of ${wanted} bytes from ${offset}`,
      );
    });
  }

  async *readStream(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    const { offset = 0, length = Number.POSITIVE_INFINITY, signal, link } = options;
    const isWhole = offset === 0 && length === Number.POSITIVE_INFINITY;
    if (link !== undefined && isWhole && (await this.#linkTo(link, name, signal))) return;
    const version = (await this.attributes(name, { signal }))?.version;
    for (let done = 0; ;) {
      const wanted = Math.min(PIECE_BYTES, length - done);
      const piece = await this.read(name, {
        offset: offset + done,
        length: wanted,
        signal,
      });
      if ((await this.attributes(name, { signal }))?.version !== version) {
        throw new UnavailableError(
          `${this.name}/${name} was replaced while it was read; read it again`,
        );
      }
      if (piece.length > 0) yield piece;
      done += piece.length;
      if (piece.length < PIECE_BYTES || done === length) return;
    }
  }

  attributes(
    name: string,
    { signal }: OperationOptions = {},
  ): Promise<ObjectAttributes | undefined> {
    return this.#run('look up', name, signal, async (path) => {
      const stat = await this.#stat(path);
      if (stat === undefined) return undefined;
      return { sizeBytes: stat.sizeBytes, modifiedMs: stat.modifiedMs, version: versionOf(stat) };
    });
  }

  upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: UploadOptions = {},
  ): Promise<void> {
    return this.#run('upload', name, options.signal, async (path) => {
      const temporary = await this.#temporary('upload');
      try {
        if (!(await this.#linkFrom(options.link, temporary))) {
          await this.#write(temporary, content, options.signal);
        }
        options.signal?.throwIfAborted();
        if (options.ifAbsent === true) await this.#create(temporary, name, path);
        else if (options.ifMatch === undefined) await this.#place(temporary, path);
        else await this.#replace(temporary, name, path, options.ifMatch, options.signal);
      } finally {
        await this.#disk.remove(temporary);
      }
    });
  }

  remove(name: string, { signal }: OperationOptions = {}): Promise<void> {
    return this.#run('remove', name, signal, async (path) => {
      if ((await this.#stat(path)) === undefined) return;
      await this.#disk.remove(path);
      // Directories are no objects: they go with their last file.
      for (let parent = posix.dirname(name); parent !== '.'; parent = posix.dirname(parent)) {
        if (!(await this.#disk.removeEmptyDirectory(join(this.#root, parent)))) break;
      }
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  /** Whether the file became a second name of the object. */
  #linkTo(
    { disk, path: to }: LinkedFile,
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    return this.#run('read', name, signal, async (path) => {
      if (disk !== this.#disk || (await this.#stat(path)) === undefined) return false;
      return linked(disk, path, to);
    });
  }

  /** Whether `to` became a second name of the file, whose bytes are on the medium then. */
  async #linkFrom(link: LinkedFile | undefined, to: string): Promise<boolean> {
    if (link === undefined || link.disk !== this.#disk) return false;
    await this.#disk.sync(link.path);
    return linked(this.#disk, link.path, to);
  }

  async #write(
    temporary: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (content instanceof Uint8Array) return this.#disk.write(temporary, content);
    await this.#disk.write(temporary, new Uint8Array());
    for await (const piece of content) {
      signal?.throwIfAborted();
      await this.#disk.append(temporary, piece);
    }
    return this.#disk.sync(temporary);
  }

  #place(temporary: string, path: string): Promise<void> {
    return this.#inDirectory(path, () => this.#disk.rename(temporary, path));
  }

  async #create(temporary: string, name: string, path: string): Promise<void> {
    try {
      await this.#inDirectory(path, () => this.#disk.link(temporary, path));
    } catch (thrown) {
      if (isTaken(thrown)) throw new ConditionError(`${this.name}/${name} exists already`);
      throw thrown;
    }
    await this.#disk.sync(dirname(path));
  }

  /** A removal of the last neighbour may take the new directory away again before it is used. */
  async #inDirectory(path: string, work: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.#makeDirectory(dirname(path));
      try {
        return await work();
      } catch (thrown) {
        if (!isMissing(thrown) || attempt === 10) throw thrown;
      }
    }
  }

  /** With the names of new directories on the medium: an object is as durable as its path. */
  async #makeDirectory(directory: string): Promise<void> {
    const created: string[] = [];
    for (let path = directory; (await this.#disk.stat(path)) === undefined; path = dirname(path)) {
      created.push(path);
    }
    if (created.length === 0) return;
    await this.#disk.makeDirectory(directory);
    for (const path of created.reverse()) await this.#disk.sync(dirname(path));
  }

  async #replace(
    temporary: string,
    name: string,
    path: string,
    version: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const lock = join(this.#root, PRIVATE_DIRECTORY, `lock-${sha256(name)}`);
    await this.#lock(lock, signal);
    try {
      const stat = await this.#stat(path);
      if (stat === undefined || versionOf(stat) !== version) {
        throw new ConditionError(`${this.name}/${name} is not version ${version} any more`);
      }
      await this.#disk.rename(temporary, path);
    } finally {
      await this.#disk.remove(lock);
    }
  }

  async #lock(lock: string, signal: AbortSignal | undefined): Promise<void> {
    const own = await this.#temporary('lock');
    this.#identity ??= await this.#processes?.own();
    await this.#disk.write(own, new TextEncoder().encode(this.#identity ?? ''));
    try {
      for (;;) {
        try {
          return await this.#disk.link(own, lock);
        } catch (thrown) {
          if (!isTaken(thrown)) throw thrown;
        }
        if (!(await this.#breakAbandoned(lock))) await this.#clock.sleep(LOCK_RETRY_MS, signal);
      }
    } finally {
      await this.#disk.remove(own);
    }
  }

  /**
   * Says whether the lock is gone, if only because its holder has died or it had expired. It is moved
   * aside first, so that of several who saw it only one breaks it; a newer one goes back.
   */
  async #breakAbandoned(lock: string): Promise<boolean> {
    const stat = await this.#disk.stat(lock);
    if (stat === undefined) return true;
    const isOld = this.#clock.now() - stat.modifiedMs >= LOCK_EXPIRY_MS;
    if (!isOld && !(await this.#holderHasEnded(lock))) return false;
    const aside = await this.#temporary('abandoned');
    try {
      await this.#disk.rename(lock, aside);
      const moved = await this.#disk.stat(aside);
      if (moved !== undefined && moved.inode !== stat.inode) await this.#disk.link(aside, lock);
    } catch (thrown) {
      if (!isMissing(thrown) && !isTaken(thrown)) throw thrown;
    }
    await this.#disk.remove(aside);
    return true;
  }

  async #holderHasEnded(lock: string): Promise<boolean> {
    if (this.#processes === undefined) return false;
    try {
      const identity = new TextDecoder().decode(await this.#disk.read(lock));
      return await this.#processes.hasEnded(identity);
    } catch (thrown) {
      if (isMissing(thrown)) return false;
      throw thrown;
    }
  }

  async #temporary(kind: string): Promise<string> {
    const directory = join(this.#root, PRIVATE_DIRECTORY);
    await this.#disk.makeDirectory(directory);
    const unique = `${this.#clock.now().toString(36)}-${this.#random.next().toString(36).slice(2)}`;
    return join(directory, `${kind}-${unique}`);
  }

  /** Full names below `prefix`, directories ending in `/`, in the byte order of full names. */
  async #names(prefix: string): Promise<string[]> {
    const entries = await this.#entries(resolve(this.#root, prefix));
    return entries
      .filter(({ name }) => prefix !== '' || name !== PRIVATE_DIRECTORY)
      .map(({ name, kind }) => prefix + name + (kind === 'directory' ? '/' : ''))
      .sort(compareUtf8);
  }

  async #entries(path: string) {
    try {
      return await this.#disk.list(path);
    } catch (thrown) {
      if (isMissing(thrown) || hasCode(thrown, 'ENOTDIR')) return [];
      throw new UnavailableError(`${this.name}: cannot list ${path}: ${messageOf(thrown)}`, {
        cause: thrown,
      });
    }
  }

  async #holdsFiles(prefix: string): Promise<boolean> {
    const names = await this.#names(prefix);
    // Files first: most directories have one, and need no look below them.
    if (names.some((name) => !name.endsWith('/'))) return true;
    for (const name of names) if (await this.#holdsFiles(name)) return true;
    return false;
  }

  /** Of a file; a directory is no object, and below a file there is nothing. */
  async #stat(path: string): Promise<FileStat | undefined> {
    if (path.endsWith('/')) return undefined;
    try {
      const stat = await this.#disk.stat(path);
      return stat?.kind === 'file' ? stat : undefined;
    } catch (thrown) {
      if (hasCode(thrown, 'ENOTDIR')) return undefined;
      throw thrown;
    }
  }

  async #fileStat(name: string, path: string): Promise<FileStat> {
    const stat = await this.#stat(path);
    if (stat !== undefined) return stat;
    throw new NotFoundError(`${this.name}/${name} does not exist`);
  }

  async #run<T>(
    what: string,
    name: string,
    signal: AbortSignal | undefined,
    work: (path: string) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const path = this.#path(name);
    try {
      return await work(path);
    } catch (thrown) {
      throw this.#translate(what, name, thrown);
    }
  }

  #translate(what: string, name: string, thrown: unknown): unknown {
    if (!(thrown instanceof Error) || !('code' in thrown) || !('syscall' in thrown)) return thrown;
    if (isMissing(thrown) || thrown.code === 'EISDIR' || thrown.code === 'ENOTDIR') {
      if (what === 'read') return new NotFoundError(`${this.name}/${name} does not exist`);
    }
    const hint =
      typeof thrown.code === 'string' && ['ENOTDIR', 'EISDIR', 'EEXIST'].includes(thrown.code)
        ? '; an object cannot be a directory of other objects here'
        : '';
    return new UnavailableError(
      `${this.name}: cannot ${what} "${name}": ${thrown.message}${hint}`,
      { cause: thrown },
    );
  }

  #path(name: string): string {
    const segments = name.split('/');
    // A trailing "/" is how other stores mark a directory: a name that no file has.
    if (segments.length > 1 && segments.at(-1) === '') segments.pop();
    const wrong = segments.some((part) => part === '' || part === '.' || part === '..');
    if (wrong || /[\0\\]/.test(name) || segments[0] === PRIVATE_DIRECTORY) {
      throw new BadInputError(
        `${this.name}: "${name}" cannot be an object's name here; want names joined by single "/", none of them "." or ".."`,
      );
    }
    return join(this.#root, name);
  }
}

function sha256(text: string): string {
  return hash('sha256', text);
}

/** Other file systems, and those without links, or without leave to make them: then bytes are copied. */
const UNLINKABLE = ['EXDEV', 'EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS'];

async function linked(disk: Disk, from: string, to: string): Promise<boolean> {
  try {
    await disk.link(from, to);
    return true;
  } catch (thrown) {
    if (UNLINKABLE.some((code) => hasCode(thrown, code))) return false;
    throw thrown;
  }
}

function versionOf({ inode, modifiedMs, sizeBytes }: FileStat): string {
  return `${inode}-${modifiedMs}-${sizeBytes}`;
}

function hasCode(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === code;
}
