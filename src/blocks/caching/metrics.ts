import type { Metrics } from '#/telemetry/metrics.ts';

const CONFIGS = {
  get: 'meta.jsons',
  get_range: 'chunks',
  exists: 'meta.jsons',
  attributes: 'chunks',
  iter: 'blocks-iter',
} as const;
type Operation = keyof typeof CONFIGS;

/** Names as in pkg/store/cache/caching_bucket.go of Thanos. */
export class CachingMetrics {
  readonly #requests;
  readonly #hits;
  readonly #requestedBytes;
  readonly #fetchedBytes;
  readonly #refetchedBytes;

  constructor(metrics: Metrics) {
    const prefix = 'thanos_store_bucket_cache_';
    this.#requests = metrics.counter({
      name: `${prefix}operation_requests_total`,
      help: 'Number of requested operations matching given config.',
      labels: ['operation', 'config'],
    });
    this.#hits = metrics.counter({
      name: `${prefix}operation_hits_total`,
      help: 'Number of operations served from cache for given config.',
      labels: ['operation', 'config'],
    });
    this.#requestedBytes = metrics.counter({
      name: `${prefix}getrange_requested_bytes_total`,
      help: 'Total number of bytes requested via GetRange.',
      labels: ['config'],
    });
    this.#fetchedBytes = metrics.counter({
      name: `${prefix}getrange_fetched_bytes_total`,
      help: 'Total number of bytes fetched because of GetRange operation. Data from bucket is then stored to cache.',
      labels: ['origin', 'config'],
    });
    this.#refetchedBytes = metrics.counter({
      name: `${prefix}getrange_refetched_bytes_total`,
      help: 'Total number of bytes re-fetched from storage because of GetRange operation, despite being in cache already.',
      labels: ['origin', 'config'],
    });
    for (const [operation, config] of Object.entries(CONFIGS)) {
      this.#requests.inc({ operation, config }, 0);
      this.#hits.inc({ operation, config }, 0);
    }
  }

  requested(operation: Operation): void {
    this.#requests.inc({ operation, config: CONFIGS[operation] });
  }

  /** `share` of the operation that the cache answered. */
  hit(operation: Operation, share = 1): void {
    this.#hits.inc({ operation, config: CONFIGS[operation] }, share);
  }

  requestedBytes(bytes: number): void {
    this.#requestedBytes.inc({ config: CONFIGS.get_range }, bytes);
  }

  fetchedBytes(origin: 'cache' | 'bucket', bytes: number): void {
    this.#fetchedBytes.inc({ origin, config: CONFIGS.get_range }, bytes);
  }

  /** Of what was in the cache and came along between parts that were not. */
  refetchedBytes(bytes: number): void {
    this.#refetchedBytes.inc({ origin: 'cache', config: CONFIGS.get_range }, bytes);
  }
}
