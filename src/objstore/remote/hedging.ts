import type { Clock } from '#/lib/clock.ts';
import { Budget } from './budget.ts';

export interface HedgingConfig {
  /** Copies of one read at most, with the first. */
  readonly upTo: number;
  /** Of the recent latencies, after which the next copy is sent: in (0, 1). */
  readonly quantile: number;
}

interface HedgingOptions extends HedgingConfig {
  readonly clock: Clock;
  /** Whether there is room for extra requests at the moment. */
  readonly isCalm: () => boolean;
  /** Hears of every extra copy, whether its answer was the first. */
  readonly counted: (outcome: 'won' | 'lost') => void;
}

/** Latencies that are remembered, how many it takes to judge, and how often they are judged anew. */
const REMEMBERED = 512;
const ENOUGH = 20;
const JUDGED_EVERY = 32;
/** Nothing is won by copies that are sent sooner. */
const SHORTEST_WAIT_MS = 2;
const RESERVE = 10;

/**
 * Sends a read again when it takes longer than most have taken, and takes the first answer; the
 * others are aborted. Extra copies are kept to twice the share of reads that are this slow in good
 * times, so that a provider that slows down as a whole is not asked for even more.
 */
export class Hedging {
  readonly #options: HedgingOptions;
  readonly #budget: Budget;
  readonly #latencies: number[] = [];
  #observed = 0;
  #waitMs: number | undefined;

  constructor(options: HedgingOptions) {
    this.#options = options;
    this.#budget = new Budget({ share: 2 * (1 - options.quantile), reserve: RESERVE });
  }

  /** The first answer of `request`; `discard` gets those that come too late to be wanted. */
  async first<T>(
    request: (signal: AbortSignal) => Promise<T>,
    discard: (late: T) => void,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const { clock, counted } = this.#options;
    this.#budget.earn();
    const copies: AbortController[] = [];
    let winner: AbortController | undefined;
    const settled = new AbortController();
    const startedAt = clock.now();
    try {
      const answer = await new Promise<T>((resolve, reject) => {
        let pending = 0;
        const send = async () => {
          const copy = new AbortController();
          copies.push(copy);
          pending++;
          try {
            const of = signal === undefined ? copy.signal : AbortSignal.any([signal, copy.signal]);
            const answered = await request(of);
            if (winner !== undefined) return discard(answered);
            winner = copy;
            resolve(answered);
          } catch (thrown) {
            if (--pending === 0) reject(thrown as Error);
          }
        };
        void send();
        void this.#sendMore(send, copies, settled.signal);
      });
      // Of the first copy: if another has won, it would have taken at least so long.
      this.#observe(clock.now() - startedAt);
      return answer;
    } finally {
      settled.abort();
      for (const copy of copies) if (copy !== winner) copy.abort(new Error('another was faster'));
      for (const copy of copies.slice(1)) counted(copy === winner ? 'won' : 'lost');
    }
  }

  async #sendMore(
    send: () => Promise<void>,
    copies: readonly unknown[],
    settled: AbortSignal,
  ): Promise<void> {
    const { clock, upTo, isCalm } = this.#options;
    const waitMs = this.#waitMs;
    if (waitMs === undefined) return;
    try {
      while (copies.length < upTo) {
        await clock.sleep(waitMs, settled);
        if (!isCalm() || !this.#budget.spend()) return;
        void send();
      }
    } catch {
      // Settled.
    }
  }

  #observe(ms: number): void {
    this.#latencies[this.#observed++ % REMEMBERED] = ms;
    if (this.#latencies.length < ENOUGH) return;
    if (this.#waitMs !== undefined && this.#observed % JUDGED_EVERY !== 0) return;
    const sorted = Float64Array.from(this.#latencies).sort();
    const index = Math.ceil(sorted.length * this.#options.quantile) - 1;
    this.#waitMs = Math.max(SHORTEST_WAIT_MS, sorted[Math.max(0, index)]!);
  }
}
