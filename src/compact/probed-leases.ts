import { messageOf } from '#/lib/errors.ts';
import { ConditionError } from '#/objstore/bucket.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { BucketLeases, LEASES_DIRECTORY } from './bucket-leases.ts';
import type { BucketLeasesOptions } from './bucket-leases.ts';
import { soleCompactor } from './lease.ts';
import type { Lease, Leases } from './lease.ts';

/**
 * Leases in the bucket if it keeps the conditions of writes, which is found out before the first one.
 * Some servers of the S3 protocol ignore them, and two compactors would both hold the same lease; on
 * such a bucket every lease is granted, with a warning that this must be the only compactor.
 */
export class ProbedLeases implements Leases {
  readonly #options: BucketLeasesOptions;
  #leases: Promise<Leases> | undefined;

  constructor(options: BucketLeasesOptions) {
    this.#options = options;
  }

  async acquire(job: string, signal: AbortSignal): Promise<Lease | undefined> {
    this.#leases ??= this.#open(signal).catch((thrown: unknown) => {
      this.#leases = undefined;
      throw thrown;
    });
    return (await this.#leases).acquire(job, signal);
  }

  async #open(signal: AbortSignal): Promise<Leases> {
    const { bucket, holder, log } = this.#options;
    const name = `${LEASES_DIRECTORY}/probe-${holder}`;
    if (await keepsConditions(bucket, name, signal)) return new BucketLeases(this.#options);
    log.warn(
      'the bucket ignores the conditions of writes, so there are no leases: run one compactor on it, or ' +
        'several that share the blocks by --compact.shard-index and --compact.shard-count',
      { bucket: bucket.name },
    );
    return soleCompactor;
  }
}

/**
 * Whether a bucket refuses to create an object that is there, and to replace a version that is gone.
 * Tried on `name`, which is gone afterwards.
 * @throws UnavailableError if that cannot be told.
 */
export async function keepsConditions(
  bucket: Bucket,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const options = { reason: 'compaction', signal } as const;
  const write = (text: string, condition: { ifAbsent?: boolean; ifMatch?: string } = {}) =>
    bucket.upload(name, new TextEncoder().encode(text), { ...condition, ...options });
  try {
    // Without a condition, so that a failure has to do with the conditions below or with neither.
    await write('one');
    const first = (await bucket.attributes(name, options))?.version;
    if (first === undefined) return false;
    await write('two');
    return (
      (await isRefused(() => write('three', { ifAbsent: true }))) &&
      (await isRefused(() => write('four', { ifMatch: first })))
    );
  } finally {
    await bucket.remove(name, options);
  }
}

/** A server may also say that it knows no conditions; then nothing is refused for their sake. */
async function isRefused(write: () => Promise<void>): Promise<boolean> {
  try {
    await write();
    return false;
  } catch (thrown) {
    if (thrown instanceof ConditionError) return true;
    if (/not.?implemented/i.test(messageOf(thrown))) return false;
    throw thrown;
  }
}
