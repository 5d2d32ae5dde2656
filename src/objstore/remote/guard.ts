import type { Clock } from '#/lib/clock.ts';
import { deadline } from '#/lib/deadline.ts';
import type { Random } from '#/lib/random.ts';
import type { Log } from '#/telemetry/logger.ts';
import { Breaker } from './breaker.ts';
import type { BreakerState } from './breaker.ts';
import { isOutage, isThrottled } from './failure.ts';
import type { Failure, FailureWords } from './failure.ts';
import { Pace } from './pace.ts';
import type { RemoteMetrics } from './remote-metrics.ts';

interface GuardOptions {
  /** For messages: the bucket. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: RemoteMetrics;
  readonly maxQps: number;
  readonly words: FailureWords;
}

interface RequestLimits {
  readonly signal: AbortSignal | undefined;
  /** For its turn and its answer together. */
  readonly patienceMs: number;
  /** For its answer, once it is sent. */
  readonly answerMs: number;
  /** The answer goes on after its beginning: its end, or its failure, is told by `completed` or `broken`. */
  readonly hasBody?: boolean;
}

/** What every single request to a provider goes through: its turn, its deadline, and the breaker. */
export class Guard {
  readonly #options: GuardOptions;
  readonly #pace: Pace;
  readonly #breaker: Breaker;

  constructor(options: GuardOptions) {
    const { name, clock, random, maxQps, metrics } = options;
    this.#options = options;
    this.#pace = new Pace({ name, clock, maxQps, waited: (ms) => metrics.waited(ms) });
    const changed = (state: BreakerState, cause: string) => this.#breakerChanged(state, cause);
    this.#breaker = new Breaker({ name, clock, random, changed });
  }

  /** Whether nothing waits and nothing is wrong, so that there is room for extra requests. */
  get isCalm(): boolean {
    return this.#pace.waiting === 0 && this.#breaker.state === 'closed';
  }

  /** @throws UnavailableError without sending it if there is no point; else what `work` throws. */
  async request<T>(
    { signal, patienceMs, answerMs, hasBody = false }: RequestLimits,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const { clock, words } = this.#options;
    const startedAt = clock.now();
    this.#breaker.check();
    if (!this.#pace.tryEnter()) {
      using patience = deadline(clock, patienceMs, signal);
      await this.#pace.enter(patience.signal, patienceMs);
    }
    this.#breaker.enter();
    const sentAt = clock.now();
    const left = patienceMs - (sentAt - startedAt);
    using limit = deadline(clock, Math.min(answerMs, left), signal);
    try {
      const result = await work(limit.signal);
      this.#pace.succeeded();
      if (!hasBody || this.#breaker.state !== 'closed') this.#breaker.answered();
      return result;
    } catch (thrown) {
      if (signal?.aborted === true) {
        this.#breaker.abandoned();
        throw signal.reason;
      }
      const cause = limit.expired ? (limit.signal.reason as Error) : thrown;
      this.#failed(words.failureOf(cause), sentAt);
      throw cause;
    }
  }

  completed(): void {
    this.#breaker.answered();
  }

  broken(failure: Failure): void {
    if (isOutage(failure)) this.#breaker.failed(this.#options.words.explain(failure));
  }

  close(): void {
    this.#pace.close();
  }

  #failed(failure: Failure, sentAt: number): void {
    if (isThrottled(failure)) this.#pace.throttled(sentAt, (failure.retryAfterSeconds ?? 0) * 1000);
    else if (!isOutage(failure)) this.#pace.succeeded();
    if (isOutage(failure)) this.#breaker.failed(this.#options.words.explain(failure));
    else this.#breaker.answered();
  }

  #breakerChanged(state: BreakerState, cause: string): void {
    const { log, metrics, name } = this.#options;
    metrics.breaker(state);
    if (state === 'open') {
      log.warn('object storage is out of reach; requests fail at once until it answers', {
        bucket: name,
        err: cause,
      });
    }
    if (state === 'closed') log.info('object storage answers again', { bucket: name });
  }
}
