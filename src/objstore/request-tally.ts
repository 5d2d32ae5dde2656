import type { Reason } from './reason.ts';

/** What was asked of a bucket for one reason. */
export interface RequestCount {
  readonly requests: number;
  /** Of contents, in either direction. */
  readonly bytes: number;
}

/** Counts what one query, or another piece of work, asked of a bucket, by reason. */
export class RequestTally {
  readonly #counts = new Map<Reason, { requests: number; bytes: number }>();

  add(reason: Reason, requests: number, bytes: number): void {
    const count = this.#counts.getOrInsertComputed(reason, () => ({ requests: 0, bytes: 0 }));
    count.requests += requests;
    count.bytes += bytes;
  }

  /** Those with something to count, in the order in which they came first. */
  get byReason(): ReadonlyMap<Reason, RequestCount> {
    return this.#counts;
  }

  get total(): RequestCount {
    let requests = 0;
    let bytes = 0;
    for (const count of this.#counts.values()) {
      requests += count.requests;
      bytes += count.bytes;
    }
    return { requests, bytes };
  }
}
