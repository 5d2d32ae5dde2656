import { createHash } from 'node:crypto';
import type { Clock } from '#/lib/clock.ts';
import { NotFoundError, UnavailableError, messageOf } from '#/lib/errors.ts';
import { ConditionError } from '#/objstore/bucket.ts';
import type { Bucket, UploadOptions } from '#/objstore/bucket.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Lease, Leases } from './lease.ts';

/** Where the leases of a bucket are; Thanos looks at nothing here. */
export const LEASES_DIRECTORY = 'hindsight/leases';

export interface BucketLeasesOptions {
  readonly bucket: Bucket;
  /** Tells this compactor from all others, also from itself before a restart. */
  readonly holder: string;
  /** How long a lease outlives its last renewal, in milliseconds; the same for all compactors. */
  readonly ttlMs: number;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Log;
}

/** What a lease's object says. Every renewal raises `beat`, so no two contents are equal. */
interface LeaseRecord {
  readonly job: string;
  readonly holder: string;
  readonly beat: number;
  readonly state: 'held' | 'free';
}

interface Observation {
  readonly version: string;
  expired: boolean;
}

/**
 * Leases as objects that only conditional writes change (`If-None-Match`, ETags, generations, a file
 * lock): of several compactors one wins. Clocks are never compared, not even read: a holder gives up
 * well before `ttlMs` have passed since it began its last renewal, and another takes over when it has
 * itself seen the same version for `ttlMs`. So a crashed holder's lease is free after that time,
 * whatever the machines think of the time of day.
 */
export class BucketLeases implements Leases {
  readonly #options: BucketLeasesOptions;
  /** The foreign leases that were in the way, and since when they have not changed. */
  readonly #observed = new Map<string, Observation>();
  #count = 0;

  constructor(options: BucketLeasesOptions) {
    this.#options = options;
  }

  async acquire(job: string, signal: AbortSignal): Promise<Lease | undefined> {
    const { bucket } = this.#options;
    const object = new LeaseObject(bucket, job);
    const version = (await bucket.attributes(object.name, { signal, reason: 'compaction' }))
      ?.version;
    if (version === undefined) return this.#take(object, { ifAbsent: true }, 0, signal);
    const record = await object.read(signal);
    if (record?.state !== 'free' && !this.#hasExpired(job, version)) return undefined;
    return this.#take(object, { ifMatch: version }, (record?.beat ?? 0) + 1, signal);
  }

  async #take(
    object: LeaseObject,
    condition: UploadOptions,
    beat: number,
    signal: AbortSignal,
  ): Promise<Lease | undefined> {
    const holder = `${this.#options.holder}/${++this.#count}`;
    const lease = new HeldLease(object, { ...this.#options, holder });
    if (!(await lease.begin(condition, beat, signal))) return undefined;
    this.#observed.delete(object.job);
    return lease;
  }

  /** Whether this process has seen that version for the time of a lease. */
  #hasExpired(job: string, version: string): boolean {
    const known = this.#observed.get(job);
    if (known?.version === version) return known.expired;
    const observation: Observation = { version, expired: false };
    this.#observed.set(job, observation);
    const { clock, ttlMs } = this.#options;
    void clock.sleep(ttlMs).then(() => (observation.expired = true));
    return false;
  }
}

/** The object of one job's lease. */
class LeaseObject {
  readonly job: string;
  readonly name: string;
  readonly #bucket: Bucket;

  constructor(bucket: Bucket, job: string) {
    this.#bucket = bucket;
    this.job = job;
    const hash = createHash('sha256').update(job).digest('hex').slice(0, 32);
    this.name = `${LEASES_DIRECTORY}/${hash}.json`;
  }

  /** `undefined` if the object is gone or makes no sense: then nobody is known to have let it go. */
  async read(signal: AbortSignal): Promise<LeaseRecord | undefined> {
    try {
      const bytes = await this.#bucket.read(this.name, { signal, reason: 'compaction' });
      const record = JSON.parse(new TextDecoder().decode(bytes)) as Partial<LeaseRecord>;
      const isWhole = typeof record.beat === 'number' && typeof record.holder === 'string';
      return isWhole ? (record as LeaseRecord) : undefined;
    } catch (thrown) {
      if (thrown instanceof NotFoundError || thrown instanceof SyntaxError) return undefined;
      throw thrown;
    }
  }

  /**
   * Writes under a condition and gives the new version; `undefined` if somebody else was there. A write
   * whose reply was lost fails its condition when it is repeated, so what counts is what the object
   * says afterwards: this record, or an earlier one of this holder, which is written over.
   */
  async write(
    record: LeaseRecord,
    condition: UploadOptions,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const content = new TextEncoder().encode(JSON.stringify(record));
    const options = { signal, reason: 'compaction' } as const;
    for (let wanted = condition; ;) {
      try {
        await this.#bucket.upload(this.name, content, { ...wanted, ...options });
      } catch (thrown) {
        if (!(thrown instanceof ConditionError)) throw thrown;
      }
      const version = (await this.#bucket.attributes(this.name, options))?.version;
      const found = await this.read(signal);
      if (version === undefined || found?.holder !== record.holder) return undefined;
      if (found.beat === record.beat) return version;
      wanted = { ifMatch: version };
    }
  }
}

/** The shares of its time after which a lease is renewed, and after which it is given up. */
const RENEW_AT = 1 / 3;
const LOST_AT = 3 / 4;

class HeldLease implements Lease {
  readonly #object: LeaseObject;
  readonly #options: BucketLeasesOptions;
  readonly #lost = new AbortController();
  readonly #stopped = new AbortController();
  #version = '';
  #beat = 0;
  /** Ends the wait for the end of the lease, as the last renewal left it. */
  #renewed = new AbortController();
  #writing: Promise<void> = Promise.resolve();

  constructor(object: LeaseObject, options: BucketLeasesOptions) {
    this.#object = object;
    this.#options = options;
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Writes the lease for the first time; false if somebody else was first. */
  async begin(condition: UploadOptions, beat: number, signal: AbortSignal): Promise<boolean> {
    this.#beat = beat;
    const held = await this.#write(condition, signal);
    if (held) void this.#renewAlways();
    return held;
  }

  confirm(signal: AbortSignal): Promise<void> {
    return this.#exclusively(async () => {
      this.#lost.signal.throwIfAborted();
      await this.#renew(AbortSignal.any([signal, this.#lost.signal]));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#exclusively(async () => {
      if (this.#lost.signal.aborted) return;
      const record = { ...this.#record('free'), beat: this.#beat + 1 };
      try {
        await this.#object.write(record, { ifMatch: this.#version }, this.#lost.signal);
      } catch (thrown) {
        // It ends by itself a little later.
        this.#options.log.warn('a lease could not be given back', this.#about(thrown));
      } finally {
        this.#renewed.abort();
      }
    });
  }

  async #renewAlways(): Promise<void> {
    const { clock, ttlMs, log } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted && !this.#lost.signal.aborted) {
      try {
        await clock.sleep(ttlMs * RENEW_AT, signal);
        await this.#exclusively(() => this.#renew(this.#lost.signal));
      } catch (thrown) {
        if (signal.aborted || this.#lost.signal.aborted) return;
        log.warn('a lease could not be renewed; trying again', this.#about(thrown));
      }
    }
  }

  /** @throws UnavailableError if another compactor has the lease. */
  async #renew(signal: AbortSignal): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#beat++;
    if (await this.#write({ ifMatch: this.#version }, signal)) return;
    const error = new UnavailableError(
      `the lease of ${this.#object.job} was taken over by another compactor`,
    );
    this.#lost.abort(error);
    throw error;
  }

  /** The time of the lease runs from before the write. */
  async #write(condition: UploadOptions, signal: AbortSignal): Promise<boolean> {
    const renewed = new AbortController();
    void this.#giveUpUnless(renewed.signal);
    try {
      const version = await this.#object.write(this.#record('held'), condition, signal);
      if (version === undefined) {
        renewed.abort();
        return false;
      }
      this.#version = version;
      this.#renewed.abort();
      this.#renewed = renewed;
      return true;
    } catch (thrown) {
      renewed.abort();
      throw thrown;
    }
  }

  async #giveUpUnless(renewed: AbortSignal): Promise<void> {
    const { clock, ttlMs } = this.#options;
    try {
      await clock.sleep(ttlMs * LOST_AT, renewed);
    } catch {
      return;
    }
    const seconds = Math.round((ttlMs * LOST_AT) / 1000);
    this.#lost.abort(
      new UnavailableError(
        `the lease of ${this.#object.job} could not be renewed for ${seconds} s; another compactor may have it`,
      ),
    );
  }

  /** One write at a time: each needs the version that the one before left. */
  #exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => {});
    return done;
  }

  #record(state: LeaseRecord['state']): LeaseRecord {
    return { job: this.#object.job, holder: this.#options.holder, beat: this.#beat, state };
  }

  #about(thrown: unknown): Record<string, unknown> {
    return { job: this.#object.job, lease: this.#object.name, err: messageOf(thrown) };
  }
}
