import { runCompact } from '#/components/compact.ts';
import type { CompactConfig, CompactParts } from '#/components/compact.ts';
import type { RetentionRule } from '#/compact/retention-rules.ts';
import type { Lease, Leases } from '#/compact/lease.ts';
import type { Runtime } from '#/components/runtime.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { HOUR_MS, MINUTE_MS } from './truth.ts';
import type { Life } from './machine.ts';

/** Small enough for a run of a day and a half to pass through all of them. */
export const RANGES = [1, 2, 8, 24].map((hours) => hours * HOUR_MS);
export const DELETE_DELAY_MS = 3 * HOUR_MS;
/** Blocks that span less are not downsampled. */
export const DOWNSAMPLED_FROM_MS = 8 * HOUR_MS;
export const LEASE_MS = 5 * MINUTE_MS;

/** What differs between the runs of different seeds. */
export interface CompactorStyle {
  readonly mergesReplicas: boolean;
  readonly algorithm: 'chain' | 'penalty';
  readonly waitIntervalMs: number;
  readonly listing: 'concurrent' | 'recursive';
  readonly gatewayListing: 'concurrent' | 'recursive' | 'bucket-index';
  readonly concurrency: number;
  readonly consistencyDelayMs: number;
  /** Of raw blocks; 0 for ever. Downsampled ones stay. */
  readonly rawRetentionMs: number;
  /** Of the doomed series, at every resolution; 0 for no such rule. */
  readonly ruleRetentionMs: number;
}

/** The whole component, on a bucket that others compact too. */
export function runCompactor(
  style: CompactorStyle,
  rules: readonly RetentionRule[],
  bucket: Bucket,
  runtime: Runtime,
  parts: CompactParts,
): Promise<void> {
  const config: CompactConfig = {
    http: { address: '127.0.0.1:10902', gracePeriodMs: 0 },
    openBucket: () => Promise.resolve(bucket),
    dataDirectory: '/data',
    wait: true,
    waitIntervalMs: style.waitIntervalMs,
    cleanupIntervalMs: 0,
    progressIntervalMs: 0,
    sync: { listing: style.listing, metaConcurrency: 4 },
    filters: {
      minTime: () => Number.NEGATIVE_INFINITY,
      maxTime: () => Number.POSITIVE_INFINITY,
      consistencyDelayMs: style.consistencyDelayMs,
    },
    deleteDelayMs: DELETE_DELAY_MS,
    replicaLabels: style.mergesReplicas ? ['replica'] : [],
    verticalCompaction: false,
    algorithm: style.algorithm,
    skipOutOfOrderChunks: false,
    maxIndexBytes: 64 * 2 ** 30,
    concurrency: style.concurrency,
    downsampleConcurrency: 1,
    blockFetchConcurrency: 2,
    fileConcurrency: 2,
    hashFunction: '',
    ranges: RANGES,
    // Given as one of the parts, to be watched.
    leases: undefined,
    retentions: new Map([[Resolution.Raw, style.rawRetentionMs]]),
    retentionRules: rules,
    seriesDeletions: { keepMs: 30 * 24 * 3_600_000, adminApi: false },
    downsampleAges: { fiveMinutesMs: DOWNSAMPLED_FROM_MS, oneHourMs: 24 * HOUR_MS },
  };
  return runCompact(config, runtime, { watchIntervalMs: 20 * MINUTE_MS, ...parts });
}

/** Sees that no two who live believe that they have the lease of one job. */
export class LeaseWatch {
  readonly #violated: (invariant: string, detail: string) => void;
  readonly #holders = new Map<string, { readonly life: Life; readonly isHeld: () => boolean }>();

  constructor(violated: (invariant: string, detail: string) => void) {
    this.#violated = violated;
  }

  watched(leases: Leases, life: Life): Leases {
    return {
      acquire: async (job, signal) => {
        const lease = await leases.acquire(job, signal);
        return lease === undefined ? undefined : this.#granted(job, lease, life);
      },
    };
  }

  /** The jobs whose leases somebody believes to have. */
  held(): string[] {
    return [...this.#holders].flatMap(([job, { isHeld }]) => (isHeld() ? [job] : []));
  }

  #granted(job: string, lease: Lease, life: Life): Lease {
    const other = this.#holders.get(job);
    if (other?.isHeld() === true) {
      this.#violated(
        'a job is done by one compactor at a time',
        `${life.name} got the lease of ${job} while ${other.life.name} had it`,
      );
    }
    let released = false;
    const isHeld = () => !released && !lease.signal.aborted && life.isAlive;
    this.#holders.set(job, { life, isHeld });
    return {
      signal: lease.signal,
      confirm: (signal) => lease.confirm(signal),
      [Symbol.asyncDispose]: () => {
        released = true;
        return lease[Symbol.asyncDispose]();
      },
    };
  }
}
