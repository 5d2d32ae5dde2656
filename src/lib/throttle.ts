import type { Clock } from './clock.ts';

/**
 * Holds back whoever takes more than a rate: a bucket of tokens that holds one second's worth.
 * Takers are served in the order of their calls, whatever they take; a clock that jumps makes
 * nobody wait for the time that it jumped.
 */
export class Throttle {
  readonly #clock: Clock;
  readonly #perMs: number;
  /** When everything that was taken is paid for. */
  #paidMs = 0;
  #lastMs = 0;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perMs = perSecond / 1000;
  }

  /** Resolves when `amount` may go; it may be more than a second's worth. */
  async take(amount: number, signal?: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    if (now < this.#lastMs) this.#paidMs -= this.#lastMs - now;
    this.#lastMs = now;
    const start = Math.max(this.#paidMs, now - BURST_MS);
    this.#paidMs = start + amount / this.#perMs;
    if (start > now) await this.#clock.sleep(start - now, signal);
  }
}

const BURST_MS = 1000;
