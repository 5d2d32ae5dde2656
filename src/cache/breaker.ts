import type { Clock } from '#/lib/clock.ts';

/** When to stop asking. Names and meaning as `set_async_circuit_breaker_config` in Thanos. */
export interface BreakerConfig {
  /** Requests that are let through to see whether things are better; 0 counts as 1. */
  readonly halfOpenMaxRequests: number;
  /** How long nothing is let through; 0 counts as a minute. */
  readonly openMs: number;
  /** Fewer requests tell nothing. */
  readonly minRequests: number;
  readonly consecutiveFailures: number;
  /** A share of the requests, in (0, 1]. */
  readonly failurePercent: number;
}

/** Work that an open breaker did not let through. */
export class BreakerOpenError extends Error {
  override readonly name = 'BreakerOpenError';
}

const COUNT_MS = 10_000;
const DEFAULT_OPEN_MS = 60_000;

/**
 * Lets work through while it succeeds. After enough failures it is open: nothing passes for a while,
 * then a few requests do, and their success closes it. Counts start anew every 10 s. What ends after
 * the state has changed says nothing about the next one.
 */
export class CircuitBreaker {
  readonly #config: BreakerConfig;
  readonly #clock: Pick<Clock, 'now'>;
  #state: 'closed' | 'open' | 'half-open' = 'closed';
  /** When the counts, or the open state, end. */
  #until: number;
  #requests = 0;
  #failures = 0;
  #failuresInRow = 0;
  #successesInRow = 0;
  #generation = 0;

  constructor(config: BreakerConfig, clock: Pick<Clock, 'now'>) {
    this.#config = config;
    this.#clock = clock;
    this.#until = clock.now() + COUNT_MS;
  }

  /** Whether a request would be refused. */
  get isOpen(): boolean {
    this.#tick();
    return this.#state === 'open' || (this.#state === 'half-open' && this.#isProbing());
  }

  /** @throws BreakerOpenError without starting `work`, or what `work` throws, which is a failure. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.isOpen) throw new BreakerOpenError('too many failures; left alone for a while');
    const generation = this.#generation;
    this.#requests++;
    try {
      const result = await work();
      if (generation === this.#generation) this.#succeeded();
      return result;
    } catch (thrown) {
      if (generation === this.#generation) this.#failed();
      throw thrown;
    }
  }

  #succeeded(): void {
    this.#failuresInRow = 0;
    this.#successesInRow++;
    if (this.#state === 'half-open' && this.#successesInRow >= this.#probes) {
      this.#enter('closed', COUNT_MS);
    }
  }

  #failed(): void {
    this.#failures++;
    this.#failuresInRow++;
    this.#successesInRow = 0;
    if (this.#state === 'half-open' || this.#isTooMuch()) {
      this.#enter('open', this.#config.openMs || DEFAULT_OPEN_MS);
    }
  }

  #isTooMuch(): boolean {
    const { minRequests, consecutiveFailures, failurePercent } = this.#config;
    if (this.#requests < minRequests) return false;
    return (
      this.#failuresInRow >= consecutiveFailures ||
      this.#failures / this.#requests >= failurePercent
    );
  }

  get #probes(): number {
    return Math.max(1, this.#config.halfOpenMaxRequests);
  }

  #isProbing(): boolean {
    return this.#requests >= this.#probes;
  }

  #tick(): void {
    if (this.#state === 'half-open' || this.#clock.now() < this.#until) return;
    if (this.#state === 'open') this.#enter('half-open', 0);
    else this.#enter('closed', COUNT_MS);
  }

  #enter(state: 'closed' | 'open' | 'half-open', ms: number): void {
    this.#state = state;
    this.#until = this.#clock.now() + ms;
    this.#generation++;
    this.#requests = 0;
    this.#failures = 0;
    this.#failuresInRow = 0;
    this.#successesInRow = 0;
  }
}
