import { LimitError } from './errors.ts';

/**
 * Counts the bytes that one query (or one process) holds and refuses to pass the limit. Whoever
 * reserves also releases; a query drops its whole budget at its end, so nothing leaks for longer.
 */
export class MemoryBudget {
  readonly limitBytes: number;
  readonly #what: string;
  readonly #parent: MemoryBudget | undefined;
  #used = 0;
  #peak = 0;

  /** `what` opens the error message: `query`, `index cache` … */
  constructor(what: string, limitBytes: number, parent?: MemoryBudget) {
    this.#what = what;
    this.limitBytes = limitBytes;
    this.#parent = parent;
  }

  get usedBytes(): number {
    return this.#used;
  }

  get peakBytes(): number {
    return this.#peak;
  }

  /** @throws LimitError with the measured bytes if this or an enclosing budget would be passed. */
  reserve(bytes: number): void {
    if (this.#used + bytes > this.limitBytes) {
      throw new LimitError(
        `${this.#what} needs ${this.#used + bytes} bytes of memory, over its limit of ${this.limitBytes}; ` +
          'select fewer series, a shorter range or a larger step',
      );
    }
    this.#parent?.reserve(bytes);
    this.#used += bytes;
    if (this.#used > this.#peak) this.#peak = this.#used;
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#parent?.release(bytes);
  }

  /** Gives everything back. */
  [Symbol.dispose](): void {
    this.release(this.#used);
  }
}

/** A budget that counts and never refuses. */
export function unlimitedBudget(): MemoryBudget {
  return new MemoryBudget('query', Number.POSITIVE_INFINITY);
}
