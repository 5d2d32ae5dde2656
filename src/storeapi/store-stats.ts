import { RequestTally } from '#/objstore/request-tally.ts';

/** What answering took of object storage, over however many stores and calls. */
export class StoreStats {
  blocksQueried: number;
  /** Without what caches answered. */
  readonly requests: RequestTally;

  constructor(blocksQueried = 0, requests = new RequestTally()) {
    this.blocksQueried = blocksQueried;
    this.requests = requests;
  }

  add(other: StoreStats): void {
    this.blocksQueried += other.blocksQueried;
    for (const [reason, { requests, bytes }] of other.requests.byReason) {
      this.requests.add(reason, requests, bytes);
    }
  }
}
