import { UnavailableError } from '#/lib/errors.ts';
import type { ManualClock } from '#/lib/manual-clock.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from '#/objstore/bucket.ts';
import type { MemoryBucket } from '#/objstore/memory.ts';
import type { EventLog } from './event-log.ts';
import type { FaultCounts } from './fault-counts.ts';
import type { ListingHistory } from './listing-history.ts';
import type { Life } from './machine.ts';
import type { Fate, Weather } from './weather.ts';

const MINUTE_MS = 60_000;

/** Told of every change to the bucket, right after it; `life` did it. */
export type Changed = (change: {
  readonly kind: 'upload' | 'remove';
  readonly name: string;
  readonly by: string;
}) => void;

interface MachineBucketOptions {
  /** The machine's client of the storage, without faults. */
  readonly own: MemoryBucket;
  readonly life: Life;
  readonly clock: ManualClock;
  readonly weather: Weather;
  readonly events: EventLog;
  readonly faults: FaultCounts;
  readonly history: ListingHistory;
  readonly changed: Changed;
}

/**
 * Object storage as one life of a machine sees it: requests take time, fail, take effect without a
 * reply or after their sender has died, and listings lag behind.
 */
export class MachineBucket implements Bucket {
  readonly name = 'memory://bucket';
  readonly #options: MachineBucketOptions;

  constructor(options: MachineBucketOptions) {
    this.#options = options;
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListEntry> {
    const { own, clock, weather, history, faults } = this.#options;
    const entries = await this.#read(`list ${prefix}`, options.signal, async () => {
      const all: ListEntry[] = [];
      for await (const entry of own.list(prefix, { recursive: true })) all.push(entry);
      const lagMs = weather.listLagMs();
      if (lagMs === 0) return all;
      const old = history.at(clock.now() - lagMs, all, prefix);
      if (!isSameListing(old, all)) faults.happened('old-listing');
      return old;
    });
    const shown = options.recursive === true ? entries : oneLevel(prefix, entries);
    for (const entry of shown) yield entry;
  }

  read(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    const { signal, ...rest } = options;
    return this.#read(`read ${name}`, signal, () => this.#options.own.read(name, rest));
  }

  async *readStream(name: string, options: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    yield await this.read(name, options);
  }

  attributes(
    name: string,
    { signal }: OperationOptions = {},
  ): Promise<ObjectAttributes | undefined> {
    return this.#read(`attributes ${name}`, signal, () => this.#options.own.attributes(name));
  }

  async upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    { signal, ifAbsent, ifMatch }: UploadOptions = {},
  ): Promise<void> {
    const bytes = content instanceof Uint8Array ? content.slice() : await joined(content);
    const conditions = {
      ...(ifAbsent === undefined ? {} : { ifAbsent }),
      ...(ifMatch === undefined ? {} : { ifMatch }),
    };
    await this.#change('upload', name, signal, (own) => own.upload(name, bytes, conditions));
  }

  remove(name: string, { signal }: OperationOptions = {}): Promise<void> {
    return this.#change('remove', name, signal, (own) => own.remove(name));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  async #read<T>(
    operation: string,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const { life, clock, weather } = this.#options;
    signal?.throwIfAborted();
    await life.begin(`bucket.${operation}`);
    const fate = weather.ofRequest();
    await life.guard(heeding(clock.sleep(fate.thereMs + fate.backMs), signal));
    this.#noteDelay(fate);
    // A reply that is lost on the way is a request that nobody answered: nothing has changed.
    if (fate.fault !== undefined) throw this.#refusal(fate.fault, operation);
    return life.guard(work());
  }

  /** The request goes its way whether or not its sender still waits for the reply. */
  async #change(
    kind: 'upload' | 'remove',
    name: string,
    signal: AbortSignal | undefined,
    work: (own: MemoryBucket) => Promise<void>,
  ): Promise<void> {
    const { life } = this.#options;
    signal?.throwIfAborted();
    await life.begin(`bucket.${kind} ${name}`);
    return life.guard(heeding(this.#send(kind, name, work), signal));
  }

  async #send(
    kind: 'upload' | 'remove',
    name: string,
    work: (own: MemoryBucket) => Promise<void>,
  ): Promise<void> {
    const { own, life, clock, weather, events, faults, history, changed } = this.#options;
    const fate = weather.ofRequest();
    const { thereMs, backMs, fault, survivesSender } = fate;
    await clock.sleep(thereMs);
    this.#noteDelay(fate);
    if (!life.isAlive && !survivesSender) return;
    const told = `${kind} ${name}`;
    if (fault === 'refused' || fault === 'storm') {
      events.add(life.name, `${told}: refused`);
      throw this.#refusal(fault, told);
    }
    const bytes = own.peek(name);
    try {
      await work(own);
    } catch (thrown) {
      events.add(life.name, `${told}: ${(thrown as Error).message}`);
      throw thrown;
    }
    const before = bytes === undefined ? undefined : { name, sizeBytes: bytes.length };
    history.add({ timeMs: clock.now(), name, before });
    if (!life.isAlive) faults.happened('orphan');
    if (fault !== undefined) faults.happened('reply-lost');
    const orphaned = life.isAlive ? '' : ', its sender being dead';
    events.add(life.name, `${told}${fault === undefined ? '' : ', reply lost'}${orphaned}`);
    changed({ kind, name, by: life.name });
    if (backMs > 0) await clock.sleep(backMs);
    if (fault !== undefined) throw new UnavailableError(`connection reset after ${told}`);
  }

  #noteDelay({ thereMs, backMs }: Fate): void {
    if (thereMs + backMs >= MINUTE_MS) this.#options.faults.happened('late');
  }

  #refusal(fault: NonNullable<Fate['fault']>, operation: string): UnavailableError {
    const { faults } = this.#options;
    if (fault === 'reply-lost') return new UnavailableError(`connection reset at ${operation}`);
    faults.happened(fault);
    const status =
      fault === 'storm' && faults.totals.storm % 2 === 0 ? '429 Too Many Requests' : '503';
    return new UnavailableError(`${status} at ${operation}`);
  }
}

function isSameListing(one: readonly ListEntry[], other: readonly ListEntry[]): boolean {
  return (
    one.length === other.length &&
    one.every(
      ({ name, sizeBytes }, i) => name === other[i]!.name && sizeBytes === other[i]!.sizeBytes,
    )
  );
}

function heeding<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return signal === undefined ? work : untilAborted(work, signal);
}

async function joined(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(pieces));
}

function oneLevel(prefix: string, entries: readonly ListEntry[]): ListEntry[] {
  const shown = new Map<string, ListEntry>();
  for (const entry of entries) {
    const slash = entry.name.indexOf('/', prefix.length);
    if (slash < 0) shown.set(entry.name, entry);
    else {
      const name = entry.name.slice(0, slash + 1);
      shown.set(name, { name });
    }
  }
  return [...shown.values()];
}
