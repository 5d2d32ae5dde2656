import type { Metrics } from '#/telemetry/metrics.ts';
import type { LruByteCache } from './lru.ts';

/** Shows a cache of this process under its name; names as in pkg/cache/inmemory.go of Thanos. */
export function showLru(name: string, cache: LruByteCache, metrics: Metrics): void {
  const family = (suffix: string, help: string) => ({
    name: `thanos_cache_inmemory_${suffix}`,
    help,
    labels: ['name'] as const,
  });
  const counters = {
    requests: metrics.counter(
      family('requests_total', 'Total number of requests to the inmemory cache.'),
    ),
    hits: metrics.counter(
      family('hits_total', 'Total number of requests to the inmemory cache that were a hit.'),
    ),
    expired: metrics.counter(
      family(
        'hits_on_expired_data_total',
        'Total number of requests to the inmemory cache that were a hit but needed to be evicted due to TTL.',
      ),
    ),
    added: metrics.counter(
      family('items_added_total', 'Total number of items that were added to the inmemory cache.'),
    ),
    evicted: metrics.counter(
      family(
        'items_evicted_total',
        'Total number of items that were evicted from the inmemory cache.',
      ),
    ),
    overflowed: metrics.counter(
      family(
        'items_overflowed_total',
        'Total number of items that could not be added to the inmemory cache due to being too big.',
      ),
    ),
  };
  const gauges = {
    items: metrics.gauge(family('items', 'Current number of items in the inmemory cache.')),
    valueBytes: metrics.gauge(
      family('items_size_bytes', 'Current byte size of items in the inmemory cache.'),
    ),
    sizeBytes: metrics.gauge(
      family(
        'total_size_bytes',
        'Current byte size of items (both value and key) in the inmemory cache.',
      ),
    ),
  };
  metrics
    .gauge(family('max_size_bytes', 'Maximum number of bytes to be held in the inmemory cache.'))
    .set({ name }, cache.maxBytes);
  metrics
    .gauge(
      family(
        'max_item_size_bytes',
        'Maximum number of bytes for single entry to be held in the inmemory cache.',
      ),
    )
    .set({ name }, cache.maxItemBytes);
  metrics.beforeScrape(() => {
    const all = cache.kinds().map((kind) => cache.stats(kind));
    const sum = (of: keyof (typeof all)[number]) => all.reduce((total, one) => total + one[of], 0);
    for (const [key, counter] of Object.entries(counters)) {
      counter.remove({ name });
      counter.inc({ name }, sum(key as keyof typeof counters));
    }
    for (const [key, gauge] of Object.entries(gauges)) {
      gauge.set({ name }, sum(key as keyof typeof gauges));
    }
  });
}
