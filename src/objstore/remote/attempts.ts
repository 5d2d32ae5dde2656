import type { Clock } from '#/lib/clock.ts';
import { UnavailableError } from '#/lib/errors.ts';
import type { Random } from '#/lib/random.ts';
import { isAmbiguous } from './failure.ts';
import type { Failure, FailureWords } from './failure.ts';

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;

/** What an attempt learns of those before it. */
export interface History {
  /** An earlier attempt may have taken effect: its answer was lost. */
  readonly ambiguous: boolean;
}

export interface RetryOptions {
  readonly words: FailureWords;
  readonly maxAttempts: number;
  /** Default 0.2 s. */
  readonly firstWaitMs?: number;
  /** Default 10 s. */
  readonly longestWaitMs?: number;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Tries an operation until it succeeds, fails for good, or has failed `maxAttempts` times without
 * making progress. Waits grow twofold from the first to the longest, each between its half and its whole.
 */
export class Attempts {
  readonly #options: RetryOptions;
  readonly #what: string;
  #failed = 0;
  #ambiguous = false;

  /** `what` completes "cannot …" in messages: `read "name"`. */
  constructor(what: string, options: RetryOptions) {
    this.#what = what;
    this.#options = options;
  }

  async run<T>(
    signal: AbortSignal | undefined,
    work: (history: History) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      signal?.throwIfAborted();
      try {
        return await work({ ambiguous: this.#ambiguous });
      } catch (thrown) {
        await this.failed(thrown, signal);
      }
    }
  }

  /** The operation got further: it may fail as often again. */
  progress(): void {
    this.#failed = 0;
  }

  /** Waits before the next attempt. @throws what the caller should see if there is none. */
  async failed(thrown: unknown, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { words, maxAttempts } = this.#options;
    const failure = words.failureOf(thrown);
    this.#ambiguous ||= isAmbiguous(failure);
    this.#failed++;
    if (!words.isRetryable(failure)) throw this.#giveUp(failure, thrown);
    if (this.#failed >= maxAttempts) throw this.#giveUp(failure, thrown);
    await this.#options.clock.sleep(this.#waitMs(failure), signal);
  }

  #waitMs({ retryAfterSeconds }: Failure): number {
    const { firstWaitMs = FIRST_WAIT_MS, longestWaitMs = LONGEST_WAIT_MS, random } = this.#options;
    const longest = Math.min(longestWaitMs, firstWaitMs * 2 ** (this.#failed - 1));
    const wait = longest * (0.5 + random.next() / 2);
    return Math.max(wait, Math.min((retryAfterSeconds ?? 0) * 1000, longestWaitMs));
  }

  /** Our own errors pass as they are; the SDK's become one that says what to check. */
  #giveUp(failure: Failure, thrown: unknown): unknown {
    const ours = ['NotFoundError', 'ConditionError', 'UnavailableError', 'BadInputError'];
    const foreign = failure.status > 0 || 'code' in Object(thrown) || isSdkError(failure.code);
    if (ours.includes(failure.code) || !foreign) return thrown;
    const times = this.#failed > 1 ? ` (${this.#failed} attempts)` : '';
    return new UnavailableError(
      `cannot ${this.#what}: ${this.#options.words.explain(failure)}${times}`,
      { cause: thrown },
    );
  }
}

function isSdkError(code: string): boolean {
  return ['TimeoutError', 'TruncatedBody'].includes(code) || code.startsWith('Credentials');
}
