import type { Clock } from '#/lib/clock.ts';
import { UnavailableError } from '#/lib/errors.ts';
import type { Random } from '#/lib/random.ts';
import type { Budget } from './budget.ts';
import { isAmbiguous, isThrottled } from './failure.ts';
import type { Failure, FailureWords } from './failure.ts';
import type { RemoteMetrics, RetryReason } from './remote-metrics.ts';

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** The longest that a server may ask us to wait. */
const LONGEST_RETRY_AFTER_MS = 60_000;
/** How much longer a wait may be than the one before. */
const WAIT_GROWTH = 3;
/** For all attempts together, from the start or the last progress. */
const OPERATION_MS = 5 * 60_000;

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
  /** Shared by all operations of a bucket: each earns a little, and each retry spends one. */
  readonly budget: Budget;
  readonly metrics: RemoteMetrics;
}

/**
 * Tries an operation until it succeeds, fails for good, has failed `maxAttempts` times or for 5
 * minutes without making progress, or the budget is spent. Each wait is random between the first one
 * and three times the one before (decorrelated jitter), and not shorter than the server asks for.
 * Algorithm: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export class Attempts {
  readonly #options: RetryOptions;
  readonly #what: string;
  #failed = 0;
  #ambiguous = false;
  #since: number;
  #lastWaitMs: number;

  /** `what` completes "cannot …" in messages: `read "name"`. */
  constructor(what: string, options: RetryOptions) {
    this.#what = what;
    this.#options = options;
    this.#since = options.clock.now();
    this.#lastWaitMs = options.firstWaitMs ?? FIRST_WAIT_MS;
    options.budget.earn();
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

  /** What is left of the operation's time. */
  get patienceMs(): number {
    return Math.max(0, this.#since + OPERATION_MS - this.#options.clock.now());
  }

  /** The operation got further: it may fail as often again. */
  progress(): void {
    this.#failed = 0;
    this.#since = this.#options.clock.now();
  }

  /** Waits before the next attempt. @throws what the caller should see if there is none. */
  async failed(thrown: unknown, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { words, maxAttempts, clock, budget, metrics } = this.#options;
    const failure = words.failureOf(thrown);
    this.#ambiguous ||= isAmbiguous(failure);
    this.#failed++;
    if (!words.isRetryable(failure)) throw this.#giveUp(failure, thrown);
    if (this.#failed >= maxAttempts) throw this.#giveUp(failure, thrown);
    const waitMs = this.#waitMs(failure);
    if (waitMs >= this.patienceMs) throw this.#giveUp(failure, thrown);
    // A server that asks for fewer requests gets them by the pace.
    if (!isThrottled(failure) && !budget.spend()) {
      metrics.retryRefused();
      throw this.#giveUp(failure, thrown, '; not tried again, since too many requests fail');
    }
    metrics.retried(reasonOf(failure));
    await clock.sleep(waitMs, signal);
  }

  #waitMs({ retryAfterSeconds }: Failure): number {
    const { firstWaitMs = FIRST_WAIT_MS, longestWaitMs = LONGEST_WAIT_MS, random } = this.#options;
    const range = this.#lastWaitMs * WAIT_GROWTH - firstWaitMs;
    this.#lastWaitMs = Math.min(longestWaitMs, firstWaitMs + range * random.next());
    const asked = Math.min((retryAfterSeconds ?? 0) * 1000, LONGEST_RETRY_AFTER_MS);
    return Math.max(this.#lastWaitMs, asked);
  }

  /** Our own errors pass as they are; the SDK's become one that says what to check. */
  #giveUp(failure: Failure, thrown: unknown, remark = ''): unknown {
    const ours = ['NotFoundError', 'ConditionError', 'UnavailableError', 'BadInputError'];
    const foreign = failure.status > 0 || 'code' in Object(thrown) || isSdkError(failure.code);
    if (ours.includes(failure.code) || !foreign) return thrown;
    const times = this.#failed > 1 ? ` (${this.#failed} attempts)` : '';
    return new UnavailableError(
      `cannot ${this.#what}: ${this.#options.words.explain(failure)}${times}${remark}`,
      { cause: thrown },
    );
  }
}

function isSdkError(code: string): boolean {
  return ['TimeoutError', 'BrokenBody'].includes(code) || code.startsWith('Credentials');
}

function reasonOf(failure: Failure): RetryReason {
  if (isThrottled(failure)) return 'throttled';
  if (failure.status > 0) return 'unavailable';
  return failure.code === 'BrokenBody' ? 'body' : 'network';
}
