/** The right to work at something while no other compactor does. */
export interface Lease extends AsyncDisposable {
  /** Aborts when the lease is lost, as when it could not be renewed in time. */
  readonly signal: AbortSignal;
  /**
   * Resolves if the lease still holds; asked right before anything that others would see.
   * @throws UnavailableError if it does not, or that cannot be told.
   */
  confirm(signal: AbortSignal): Promise<void>;
}

/** Hands out leases: with several compactors on one bucket, through the bucket. */
export interface Leases {
  /** The lease of a job, or `undefined` while another compactor has it. */
  acquire(job: string, signal: AbortSignal): Promise<Lease | undefined>;
}

/** For a bucket with one compactor: every lease is granted and never lost. */
export const soleCompactor: Leases = {
  acquire: () =>
    Promise.resolve({
      signal: new AbortController().signal,
      confirm: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};

/**
 * Lets one of the queues of this process have a lease at a time, whatever `leases` says: where there are
 * none in the bucket, this is all that keeps them apart.
 */
export class ExclusiveLeases implements Leases {
  readonly #leases: Leases;
  readonly #held = new Set<string>();

  constructor(leases: Leases) {
    this.#leases = leases;
  }

  async acquire(job: string, signal: AbortSignal): Promise<Lease | undefined> {
    if (this.#held.has(job)) return undefined;
    this.#held.add(job);
    let lease: Lease | undefined;
    try {
      lease = await this.#leases.acquire(job, signal);
    } finally {
      if (lease === undefined) this.#held.delete(job);
    }
    return lease === undefined ? undefined : this.#releasing(lease, job);
  }

  #releasing(lease: Lease, job: string): Lease {
    return {
      signal: lease.signal,
      confirm: (signal) => lease.confirm(signal),
      [Symbol.asyncDispose]: async () => {
        try {
          await lease[Symbol.asyncDispose]();
        } finally {
          this.#held.delete(job);
        }
      },
    };
  }
}
