import type { Clock } from '#/lib/clock.ts';
import { UnavailableError } from '#/lib/errors.ts';
import type { Random } from '#/lib/random.ts';

export type BreakerState = 'closed' | 'half-open' | 'open';

interface BreakerOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  /** For messages: the bucket. */
  readonly name: string;
  /** Hears of every change, with what failed last. */
  readonly changed: (state: BreakerState, cause: string) => void;
}

/** So much trouble, for so long: the provider is down. */
const MAX_TROUBLE = 10;
const TROUBLE_MS = 5_000;
/** How much of it an answer takes back, where a failure adds one. */
const RELIEF = 4;
/** How long it is left alone, first and at most. */
const FIRST_REST_MS = 2_000;
const LONGEST_REST_MS = 30_000;

/**
 * Spares a provider that is down, and those who wait for it. It opens after 10 failed requests in a
 * row, or when for long more than 80 % fail, if the trouble is 5 s old; then requests fail at once.
 * After a rest one request goes through: if it is answered, the others may follow; if not, the rest
 * doubles.
 */
export class Breaker {
  readonly #options: BreakerOptions;
  #state: BreakerState = 'closed';
  #trouble = 0;
  /** When the trouble began: the first failure since things went well. */
  #since: number | undefined;
  #cause = '';
  #restMs = FIRST_REST_MS;
  #probeAt = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** @throws UnavailableError if the provider is to be left alone. */
  check(): void {
    if (this.#state === 'closed') return;
    const { name, clock } = this.#options;
    const now = clock.now();
    if (this.#state === 'open' && now >= this.#probeAt) return;
    const since = new Date(this.#since ?? now).toISOString();
    const seconds = Math.max(1, Math.ceil((this.#probeAt - now) / 1000));
    const next = this.#state === 'open' ? `in ${seconds} s` : 'at this moment';
    throw new UnavailableError(
      `${name} is out of reach since ${since}, and is tried again ${next}: ${this.#cause}`,
    );
  }

  /** A request goes; after a rest it is the one that shows how things are. @throws as `check`. */
  enter(): void {
    this.check();
    if (this.#state === 'open') this.#change('half-open');
  }

  /** The provider answered, if only to refuse. */
  answered(): void {
    if (this.#state === 'half-open') this.#change('closed');
    if (this.#state === 'open') return;
    this.#trouble = Math.max(0, this.#trouble - RELIEF);
    if (this.#trouble > 0) return;
    this.#since = undefined;
    this.#restMs = FIRST_REST_MS;
  }

  failed(cause: string): void {
    const now = this.#options.clock.now();
    this.#cause = cause;
    this.#since ??= now;
    this.#trouble = Math.min(MAX_TROUBLE, this.#trouble + 1);
    const isDown = this.#trouble === MAX_TROUBLE && now - this.#since >= TROUBLE_MS;
    if (this.#state === 'half-open' || (this.#state === 'closed' && isDown)) this.#open(now);
  }

  /** The request told nothing: its caller gave up. */
  abandoned(): void {
    if (this.#state !== 'half-open') return;
    this.#probeAt = this.#options.clock.now();
    this.#change('open');
  }

  #open(now: number): void {
    const { random } = this.#options;
    // Not all processes at the same time.
    this.#probeAt = now + this.#restMs * (0.75 + random.next() / 2);
    this.#restMs = Math.min(LONGEST_REST_MS, this.#restMs * 2);
    this.#change('open');
  }

  #change(state: BreakerState): void {
    this.#state = state;
    this.#options.changed(state, this.#cause);
  }
}
