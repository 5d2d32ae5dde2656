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
