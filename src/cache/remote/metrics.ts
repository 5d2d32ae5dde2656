import { UnavailableError } from '#/lib/errors.ts';
import type { Gate } from '#/lib/gate.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { ServerError } from './server-error.ts';

const OPERATIONS = ['getmulti', 'set'] as const;
export type Operation = (typeof OPERATIONS)[number];
type SkipReason = 'max-item-size' | 'async-buffer-full' | 'circuit-breaker';

const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 3, 6, 10];
const BYTES = [32, 256, 512, 1024, ...[32, 256, 512, 1024].map((kib) => kib * 1024)];
const LARGE_BYTES = [32, 256, 512].map((mib) => mib * 1024 * 1024);

/** The metrics of one cache on servers; names as in pkg/cacheutil of Thanos, for Redis too. */
export class RemoteMetrics {
  readonly #name: string;
  readonly #requests;
  readonly #hits;
  readonly #operations;
  readonly #failures;
  readonly #skipped;
  readonly #seconds;
  readonly #bytes;
  readonly #rejected;

  constructor(
    kind: 'memcached' | 'redis',
    name: string,
    metrics: Metrics,
    gets: { readonly max: number; readonly gate: Gate },
  ) {
    this.#name = name;
    const prefix = `thanos_${kind}_`;
    this.#requests = metrics.counter({
      name: `thanos_cache_${kind}_requests_total`,
      help: `Total number of items requests to ${kind}.`,
      labels: ['name'],
    });
    this.#hits = metrics.counter({
      name: `thanos_cache_${kind}_hits_total`,
      help: 'Total number of items requests to the cache that were a hit.',
      labels: ['name'],
    });
    this.#operations = metrics.counter({
      name: `${prefix}operations_total`,
      help: `Total number of operations against ${kind}.`,
      labels: ['operation', 'name'],
    });
    this.#failures = metrics.counter({
      name: `${prefix}operation_failures_total`,
      help: `Total number of operations against ${kind} that failed.`,
      labels: ['operation', 'reason', 'name'],
    });
    this.#skipped = metrics.counter({
      name: `${prefix}operation_skipped_total`,
      help: `Total number of operations against ${kind} that have been skipped.`,
      labels: ['operation', 'reason', 'name'],
    });
    this.#seconds = metrics.histogram({
      name: `${prefix}operation_duration_seconds`,
      help: `Duration of operations against ${kind}.`,
      labels: ['operation', 'name'],
      buckets: SECONDS,
    });
    this.#bytes = metrics.histogram({
      name: `${prefix}operation_data_size_bytes`,
      help: `Tracks the size of the data stored in and fetched from ${kind}.`,
      labels: ['operation', 'name'],
      buckets: [...BYTES, ...LARGE_BYTES],
    });
    this.#rejected = metrics.counter({
      name: 'hindsight_cache_rejected_values_total',
      help: 'Values from a cache that are not what was stored under their keys; they count as misses.',
      labels: ['name'],
    });
    const max = metrics.gauge({
      name: `${prefix}getmulti_gate_gets_max`,
      help: 'Maximum number of concurrent gets.',
      labels: ['name'],
    });
    const inFlight = metrics.gauge({
      name: `${prefix}getmulti_gate_gets_in_flight`,
      help: 'Number of gets that are currently in flight.',
      labels: ['name'],
    });
    max.set({ name }, gets.max);
    metrics.beforeScrape(() => inFlight.set({ name }, gets.gate.running));
    this.#rejected.inc({ name }, 0);
    for (const operation of OPERATIONS) this.#operations.inc({ operation, name }, 0);
  }

  requested(items: number): void {
    this.#requests.inc({ name: this.#name }, items);
  }

  hit(items: number): void {
    this.#hits.inc({ name: this.#name }, items);
  }

  rejected(): void {
    this.#rejected.inc({ name: this.#name });
  }

  skipped(reason: SkipReason): void {
    this.#skipped.inc({ operation: 'set', reason, name: this.#name });
  }

  start(operation: Operation, nowMs: number): number {
    this.#operations.inc({ operation, name: this.#name });
    return nowMs;
  }

  done(operation: Operation, startedMs: number, nowMs: number, bytes: number): void {
    this.#seconds.observe({ operation, name: this.#name }, (nowMs - startedMs) / 1000);
    this.#bytes.observe({ operation, name: this.#name }, bytes);
  }

  failed(operation: Operation, thrown: unknown): void {
    this.#failures.inc({ operation, reason: reasonOf(thrown), name: this.#name });
  }
}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'other';
  if (thrown instanceof ServerError) return 'server-error';
  if (thrown.name === 'TimeoutError') return 'timeout';
  return 'code' in thrown || thrown instanceof UnavailableError ? 'network-error' : 'other';
}
