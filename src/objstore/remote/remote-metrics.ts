import type { Metrics } from '#/telemetry/metrics.ts';
import type { BreakerState } from './breaker.ts';

const STATES: Readonly<Record<BreakerState, number>> = { closed: 0, 'half-open': 1, open: 2 };

/** Why an attempt is made again. */
const RETRY_REASONS = ['throttled', 'unavailable', 'network', 'body'] as const;
export type RetryReason = (typeof RETRY_REASONS)[number];

/** How it goes with requests to one bucket, which is `label`. */
export class RemoteMetrics {
  readonly #bucket: string;
  readonly #retries;
  readonly #refusedRetries;
  readonly #hedges;
  readonly #waits;
  readonly #breaker;
  readonly #opened;

  constructor(label: string, metrics: Metrics) {
    this.#bucket = label;
    this.#retries = metrics.counter({
      name: 'hindsight_objstore_retries_total',
      help: 'Requests to object storage that were sent again, by why the one before failed.',
      labels: ['bucket', 'reason'],
    });
    this.#refusedRetries = metrics.counter({
      name: 'hindsight_objstore_retries_refused_total',
      help: 'Requests to object storage that were not sent again, because too many are.',
      labels: ['bucket'],
    });
    this.#hedges = metrics.counter({
      name: 'hindsight_objstore_hedged_requests_total',
      help: 'Extra copies of slow reads, by whether their answer was the first.',
      labels: ['bucket', 'outcome'],
    });
    this.#waits = metrics.histogram({
      name: 'hindsight_objstore_throttle_wait_seconds',
      help: 'How long requests waited, of those that had to wait for --objstore.max-qps or for a provider that asks for fewer.',
      labels: ['bucket'],
      buckets: [0.01, 0.1, 0.3, 1, 3, 10, 30, 60],
    });
    this.#breaker = metrics.gauge({
      name: 'hindsight_objstore_breaker_state',
      help: 'Whether requests go to object storage: 0 they do, 1 one is sent to see, 2 they fail at once.',
      labels: ['bucket'],
    });
    this.#opened = metrics.counter({
      name: 'hindsight_objstore_breaker_opened_total',
      help: 'How often object storage was given up for a while.',
      labels: ['bucket'],
    });
    for (const reason of RETRY_REASONS) this.#retries.inc({ bucket: label, reason }, 0);
    for (const outcome of ['won', 'lost']) this.#hedges.inc({ bucket: label, outcome }, 0);
    this.#refusedRetries.inc({ bucket: label }, 0);
    this.#opened.inc({ bucket: label }, 0);
    this.breaker('closed');
  }

  retried(reason: RetryReason): void {
    this.#retries.inc({ bucket: this.#bucket, reason });
  }

  retryRefused(): void {
    this.#refusedRetries.inc({ bucket: this.#bucket });
  }

  hedged(outcome: 'won' | 'lost'): void {
    this.#hedges.inc({ bucket: this.#bucket, outcome });
  }

  waited(ms: number): void {
    this.#waits.observe({ bucket: this.#bucket }, ms / 1000);
  }

  breaker(state: BreakerState): void {
    this.#breaker.set({ bucket: this.#bucket }, STATES[state]);
    if (state === 'open') this.#opened.inc({ bucket: this.#bucket });
  }
}
