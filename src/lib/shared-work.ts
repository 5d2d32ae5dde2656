import { untilAborted } from './until-aborted.ts';

/** Work that several wait for. It is aborted when none of them waits any more. */
export class SharedWork<T> {
  /** Resolves when the work has ended, well or not. */
  readonly settled: Promise<void>;
  readonly #result: Promise<T>;
  readonly #stop = new AbortController();
  #waiting = 0;

  /** Starts at once. */
  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#result = work(this.#stop.signal);
    const ended = () => undefined;
    this.settled = this.#result.then(ended, ended);
  }

  /** Whether everybody who waited has given up: too late to join. */
  get isAbandoned(): boolean {
    return this.#stop.signal.aborted;
  }

  /** The result, or the reason of `signal` as soon as it aborts. */
  async wait(signal?: AbortSignal): Promise<T> {
    this.#waiting++;
    try {
      return await (signal === undefined ? this.#result : untilAborted(this.#result, signal));
    } finally {
      if (--this.#waiting === 0) this.#stop.abort(new Error('nobody waits any more'));
    }
  }
}
