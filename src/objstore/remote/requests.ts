import type { Clock } from '#/lib/clock.ts';
import type { Random } from '#/lib/random.ts';
import type { OperationOptions, RequestKind } from '../bucket.ts';
import { Attempts } from './attempts.ts';
import type { History, RetryOptions } from './attempts.ts';
import { Budget } from './budget.ts';
import { Guard } from './guard.ts';
import type { Failure } from './failure.ts';
import { Hedging } from './hedging.ts';
import type { RemoteEffects } from './effects.ts';
import { RemoteMetrics } from './remote-metrics.ts';
import type { Meaning, ServiceWords } from './service.ts';

/** What the configuration of a provider says about its requests. */
export interface RequestOptions {
  /** Of an operation. Default 10. */
  readonly maxAttempts: number | undefined;
  /** Of a read, counted anew whenever bytes arrive. Default `maxAttempts`. */
  readonly maxReadAttempts?: number;
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
  /** Within which an attempt must be answered. */
  readonly answerMs: number;
}

interface Place {
  readonly name: string;
  readonly label: string;
  readonly words: ServiceWords;
}

interface SendLimits {
  /** For its turn and its answer. Default: as long as the answer may take. */
  readonly patienceMs?: number;
  /** They get the time that they need. */
  readonly sentBytes?: number;
}

interface ReadLimits<T> {
  readonly patienceMs: number;
  /** The answer's contents are still to come: `completed` or `broken` tells how that went. */
  readonly hasBody?: boolean;
  /** Gets the answers that come too late to be wanted. */
  readonly discard?: (late: T) => void;
}

const DEFAULT_ATTEMPTS = 10;
/** Retries: half as many as operations, and these at once. */
const RETRIES = { share: 0.5, reserve: 100 };
/** A read that is not answered by then is better sent again. */
const READ_ANSWER_MS = 30_000;
/** The slowest upload that is worth waiting for. */
const SLOWEST_BYTES_PER_MS = 100;

/** Sends the requests of one bucket, each through the same guard, and again on failure. */
export class Requests {
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: RemoteMetrics;
  readonly #words: ServiceWords;
  readonly #guard: Guard;
  readonly #hedging: Hedging | undefined;
  readonly #options: RequestOptions;
  readonly #retries: RetryOptions;

  constructor({ name, label, words }: Place, options: RequestOptions, effects: RemoteEffects) {
    const { clock, random, hedging } = effects;
    const metrics = new RemoteMetrics(label, effects.metrics);
    this.clock = clock;
    this.random = random;
    this.metrics = metrics;
    this.#words = words;
    this.#guard = new Guard({ ...effects, metrics, name, words });
    this.#options = options;
    const { maxAttempts = DEFAULT_ATTEMPTS } = options;
    this.#retries = {
      ...options,
      maxAttempts,
      clock,
      random,
      words,
      metrics,
      budget: new Budget(RETRIES),
    };
    this.#hedging =
      hedging &&
      new Hedging({
        ...hedging,
        clock,
        isCalm: () => this.#guard.isCalm,
        counted: (outcome) => metrics.hedged(outcome),
      });
  }

  /** How long a body may stall. */
  get stallMs(): number {
    return Math.min(this.#options.answerMs, READ_ANSWER_MS);
  }

  /** `what` completes "cannot …" in messages. */
  async retry<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: (history: History, patienceMs: number) => Promise<T>,
  ): Promise<T> {
    const attempts = new Attempts(what, this.#retries);
    return attempts.run(signal, (history) => work(history, attempts.patienceMs));
  }

  readAttempts(what: string): Attempts {
    const { maxReadAttempts = this.#retries.maxAttempts } = this.#options;
    return new Attempts(what, { ...this.#retries, maxAttempts: maxReadAttempts });
  }

  /** One attempt of something else than a read. */
  send<T>(
    kind: RequestKind,
    request: (signal: AbortSignal) => Promise<T>,
    { signal, onRequest }: OperationOptions,
    { patienceMs, sentBytes = 0 }: SendLimits = {},
  ): Promise<T> {
    const answerMs = this.#options.answerMs + sentBytes / SLOWEST_BYTES_PER_MS;
    const limits = { signal, answerMs, patienceMs: patienceMs ?? answerMs };
    return this.#guard.request(limits, (at) => {
      onRequest?.(kind);
      return request(at);
    });
  }

  /** One attempt of a read, and perhaps others that try to be faster. */
  sendRead<T>(
    kind: RequestKind,
    request: (signal: AbortSignal) => Promise<T>,
    { signal, onRequest }: OperationOptions,
    { patienceMs, hasBody = false, discard = () => undefined }: ReadLimits<T>,
  ): Promise<T> {
    const answerMs = this.stallMs;
    const once = (of: AbortSignal | undefined) =>
      this.#guard.request({ signal: of, patienceMs, answerMs, hasBody }, (at) => {
        onRequest?.(kind);
        return request(at);
      });
    return this.#hedging === undefined ? once(signal) : this.#hedging.first(once, discard, signal);
  }

  completed(): void {
    this.#guard.completed();
  }

  broken(thrown: unknown): void {
    this.#guard.broken(this.failureOf(thrown));
  }

  failureOf(thrown: unknown): Failure {
    return this.#words.failureOf(thrown);
  }

  meaningOf(thrown: unknown): Meaning {
    return this.#words.meaningOf(this.failureOf(thrown));
  }

  close(): void {
    this.#guard.close();
  }
}
