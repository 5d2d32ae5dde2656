import { createHash } from 'node:crypto';
import { systemClock } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';
import { NotFoundError } from '#/lib/errors.ts';
import { InjectedFault } from '#/lib/faults.ts';
import type { FaultPlan } from '#/lib/faults.ts';
import { ConditionError } from './bucket.ts';
import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from './bucket.ts';
import { checkPrefix, compareEntries, oneLevel } from './names.ts';
import { collect } from './streams.ts';

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly modifiedMs: number;
  readonly version: string;
}

interface MemoryBucketOptions {
  readonly name?: string;
  /** Where modification times come from. */
  readonly clock?: Pick<Clock, 'now'>;
  readonly faults?: FaultPlan;
  /** The bucket whose objects these are: the new one is another client of it, with its own faults. */
  readonly of?: MemoryBucket;
}

/**
 * A bucket in memory, for tests and the simulator. `faults` may be changed at any time, as at a
 * restart. Closing it keeps the objects.
 */
export class MemoryBucket implements Bucket {
  readonly name: string;
  faults: FaultPlan | undefined;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #objects: Map<string, StoredObject>;
  readonly #versions: { last: number };

  constructor(options: MemoryBucketOptions = {}) {
    this.name = options.name ?? 'memory://bucket';
    this.#clock = options.clock ?? systemClock;
    this.faults = options.faults;
    const { of } = options;
    this.#objects = of === undefined ? new Map<string, StoredObject>() : of.#objects;
    this.#versions = of === undefined ? { last: 0 } : of.#versions;
  }

  /** Every object's name, sorted; for tests. */
  get names(): string[] {
    return [...this.#objects.keys()].sort();
  }

  /** An object's bytes at this very moment, past all faults; for tests. */
  peek(name: string): Uint8Array | undefined {
    return this.#objects.get(name)?.bytes;
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListEntry> {
    checkPrefix(prefix);
    const entries = await this.#run(`bucket.list ${prefix}`, options.signal, () => {
      const below = this.#below(prefix);
      return options.recursive === true ? below : [...oneLevel(prefix, below)];
    });
    for (const entry of entries) {
      options.signal?.throwIfAborted();
      yield entry;
    }
  }

  read(name: string, { offset = 0, length, signal }: ReadOptions = {}): Promise<Uint8Array> {
    return this.#run(`bucket.read ${name}`, signal, () => {
      const { bytes } = this.#object(name);
      return bytes.slice(offset, length === undefined ? undefined : offset + length);
    });
  }

  async *readStream(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    const bytes = await this.read(name, options);
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
      options.signal?.throwIfAborted();
      yield bytes.subarray(start, start + PIECE_BYTES);
    }
  }

  attributes(
    name: string,
    { signal }: OperationOptions = {},
  ): Promise<ObjectAttributes | undefined> {
    return this.#run(`bucket.attributes ${name}`, signal, () => {
      const object = this.#objects.get(name);
      if (object === undefined) return undefined;
      const { bytes, modifiedMs, version } = object;
      const md5 = createHash('md5').update(bytes).digest('hex');
      return { sizeBytes: bytes.length, modifiedMs, version, md5 };
    });
  }

  async upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    { ifAbsent = false, ifMatch, signal }: UploadOptions = {},
  ): Promise<void> {
    const bytes = content instanceof Uint8Array ? content.slice() : await collect(content, signal);
    await this.#run(`bucket.upload ${name}`, signal, () => {
      const version = this.#objects.get(name)?.version;
      if (ifAbsent && version !== undefined) {
        throw new ConditionError(`${this.name}/${name} exists already`);
      }
      if (ifMatch !== undefined && ifMatch !== version) {
        throw new ConditionError(`${this.name}/${name} is not version ${ifMatch} any more`);
      }
      this.#objects.set(name, {
        bytes,
        modifiedMs: this.#clock.now(),
        version: String(++this.#versions.last),
      });
    });
  }

  remove(name: string, { signal }: OperationOptions = {}): Promise<void> {
    return this.#run(`bucket.remove ${name}`, signal, () => {
      this.#objects.delete(name);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  async #run<T>(operation: string, signal: AbortSignal | undefined, work: () => T): Promise<T> {
    await Promise.resolve();
    signal?.throwIfAborted();
    const fault = this.faults?.(operation);
    if (fault === 'refuse' || fault === 'tear') throw new InjectedFault(fault, operation);
    const result = work();
    if (fault !== undefined) throw new InjectedFault(fault, operation);
    return result;
  }

  #object(name: string): StoredObject {
    const object = this.#objects.get(name);
    if (object === undefined) throw new NotFoundError(`${this.name}/${name} does not exist`);
    return object;
  }

  #below(prefix: string): ListEntry[] {
    const below: ListEntry[] = [];
    for (const [name, { bytes, modifiedMs }] of this.#objects) {
      if (name.startsWith(prefix)) below.push({ name, sizeBytes: bytes.length, modifiedMs });
    }
    return below.sort(compareEntries);
  }
}

const PIECE_BYTES = 64 * 1024;
