import { LimitError } from './errors.ts';
import { ADVICE, inFlag } from './process-memory.ts';
import type { MemoryHolder, ProcessMemory } from './process-memory.ts';

export interface BudgetOptions {
  /** What holds the bytes, in the error message: `query`, `Series call`. */
  readonly what: string;
  readonly limitBytes: number;
  /** The flag that sets the limit, for the message. */
  readonly flag?: string;
  /** Whose limits count besides. */
  readonly process?: ProcessMemory;
}

/**
 * Counts the bytes that one query or call holds and refuses to pass the limit. Whoever reserves also
 * releases; a query drops its whole budget at its end, so nothing leaks for longer.
 */
export class MemoryBudget implements MemoryHolder {
  readonly what: string;
  readonly limitBytes: number;
  readonly flag: string;
  readonly #process: ProcessMemory | undefined;
  #used = 0;
  #peak = 0;

  constructor({ what, limitBytes, flag = '', process }: BudgetOptions) {
    this.what = what;
    this.limitBytes = limitBytes;
    this.flag = flag;
    this.#process = process;
  }

  get usedBytes(): number {
    return this.#used;
  }

  get peakBytes(): number {
    return this.#peak;
  }

  /** @throws LimitError with the measured bytes if this budget or that of the process would be passed. */
  reserve(bytes: number): void {
    if (this.#used + bytes > this.limitBytes) {
      throw new LimitError(
        `${this.what} needs ${this.#used + bytes} bytes of memory, over its limit of ` +
          `${this.limitBytes}${inFlag(this.flag)}; ${ADVICE}`,
      );
    }
    this.#process?.reserve(bytes, this);
    this.#used += bytes;
    if (this.#used > this.#peak) this.#peak = this.#used;
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#process?.release(bytes);
  }

  /** Gives everything back. */
  [Symbol.dispose](): void {
    this.release(this.#used);
  }
}

/** A budget that counts and never refuses. */
export function unlimitedBudget(): MemoryBudget {
  return new MemoryBudget({ what: 'query', limitBytes: Number.POSITIVE_INFINITY });
}
