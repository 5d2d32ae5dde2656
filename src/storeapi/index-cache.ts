import * as v from 'valibot';
import { noCache } from '#/cache/cache.ts';
import type { ByteCache } from '#/cache/cache.ts';
import { parseCacheConfig } from '#/cache/config.ts';
import type { CacheBackend } from '#/cache/config.ts';
import type { LruByteCache } from '#/cache/lru.ts';
import { goDuration } from '#/config/schema.ts';
import type { Clock } from '#/lib/clock.ts';
import type { Metrics } from '#/telemetry/metrics.ts';

export const ITEM_TYPES = ['Postings', 'ExpandedPostings', 'Series'] as const;
export type ItemType = (typeof ITEM_TYPES)[number];

/** What keys begin with, up to a colon. */
const KEY_KINDS = { Postings: 'P', ExpandedPostings: 'EP', Series: 'S' } as const;

/** What was read of blocks' indexes. Blocks are immutable, so an entry is right for ever. */
export interface IndexCache {
  /** Bodies of postings lists, as the index has them. */
  readonly postings: ByteCache;
  /** The series that a set of matchers selects, in the form of a postings list. */
  readonly expandedPostings: ByteCache;
  /** Bodies of series entries, as the index has them. */
  readonly series: ByteCache;
}

export interface IndexCacheConfig {
  readonly backend: CacheBackend;
  readonly items: readonly ItemType[];
  /** How long entries stay on servers. */
  readonly ttlMs: number;
}

/**
 * Reads the YAML of `--index-cache.config`, with Thanos's keys.
 * @throws BadInputError naming the place.
 */
export function parseIndexCacheConfig(source: string, yaml: string): IndexCacheConfig {
  const { settings, backend } = parseCacheConfig(source, yaml, {
    enabled_items: v.optional(v.array(v.picklist(ITEM_TYPES)), []),
    ttl: v.optional(goDuration(), '24h'),
  });
  const items = settings.enabled_items;
  return {
    backend,
    items: items.length === 0 ? ITEM_TYPES : items,
    ttlMs: settings.ttl || DEFAULT_TTL_MS,
  };
}

const DEFAULT_TTL_MS = 24 * 3_600_000;

/** An index cache in the memory of the process, for `--index-cache-size`. */
export function inMemoryIndexCache(maxBytes: number): IndexCacheConfig {
  return {
    backend: { kind: 'in-memory', maxBytes, maxItemBytes: maxBytes / 2 },
    items: ITEM_TYPES,
    ttlMs: DEFAULT_TTL_MS,
  };
}

interface IndexCacheEffects {
  readonly clock: Pick<Clock, 'now'>;
  readonly metrics: Metrics;
}

/** The kinds of items that `items` names go to `cache`, with Thanos's metrics; the others nowhere. */
export function indexCacheOver(
  cache: ByteCache,
  items: readonly ItemType[],
  effects: IndexCacheEffects,
): IndexCache {
  const metrics = new ItemMetrics(effects);
  const of = (type: ItemType) => (items.includes(type) ? metrics.around(cache, type) : noCache);
  return {
    postings: of('Postings'),
    expandedPostings: of('ExpandedPostings'),
    series: of('Series'),
  };
}

/** Metrics that all kinds of index caches have; names as in pkg/store/cache of Thanos. */
class ItemMetrics {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #requests;
  readonly #hits;
  readonly #bytes;
  readonly #seconds;

  constructor({ clock, metrics }: IndexCacheEffects) {
    this.#clock = clock;
    const labels = ['item_type', 'tenant'] as const;
    this.#requests = metrics.counter({
      name: 'thanos_store_index_cache_requests_total',
      help: 'Total number of items requests to the cache.',
      labels,
    });
    this.#hits = metrics.counter({
      name: 'thanos_store_index_cache_hits_total',
      help: 'Total number of items requests to the cache that were a hit.',
      labels,
    });
    this.#bytes = metrics.histogram({
      name: 'thanos_store_index_cache_stored_data_size_bytes',
      help: 'Histogram to track item data size stored in index cache',
      labels,
      buckets: [32, 256, 512, ...[1, 32, 256, 512].map((kib) => kib * 1024)].concat(
        [1, 32, 64, 128, 256, 512].map((mib) => mib * 1024 * 1024),
      ),
    });
    this.#seconds = metrics.histogram({
      name: 'thanos_store_index_cache_fetch_duration_seconds',
      help: 'Histogram to track latency to fetch items from index cache',
      labels,
      buckets: [0.01, 0.1, 0.3, 0.6, 1, 3, 6, 10, 15, 20, 30, 45, 60, 90, 120],
    });
  }

  around(cache: ByteCache, type: ItemType): ByteCache {
    // The series of all tenants are in one cache, and so are their numbers.
    const labels = { item_type: type, tenant: 'default-tenant' };
    this.#requests.inc(labels, 0);
    this.#hits.inc(labels, 0);
    return {
      getMany: async (keys, signal) => {
        if (keys.length === 0) return [];
        const start = this.#clock.now();
        const found = await cache.getMany(keys, signal);
        this.#requests.inc(labels, keys.length);
        this.#hits.inc(labels, found.filter((value) => value !== undefined).length);
        this.#seconds.observe(labels, (this.#clock.now() - start) / 1000);
        return found;
      },
      set: (key, value, ttlMs) => {
        this.#bytes.observe(labels, value.length);
        cache.set(key, value, ttlMs);
      },
    };
  }
}

/** Shows an index cache of this process in Thanos's metrics. */
export function showIndexCache(cache: LruByteCache, metrics: Metrics): void {
  const family = (name: string, help: string) => ({
    name: `thanos_store_index_cache_${name}`,
    help,
    labels: ['item_type'] as const,
  });
  const gauges = {
    items: metrics.gauge(family('items', 'Current number of items in the index cache.')),
    valueBytes: metrics.gauge(
      family('items_size_bytes', 'Current byte size of items in the index cache.'),
    ),
    sizeBytes: metrics.gauge(
      family(
        'total_size_bytes',
        'Current byte size of items (both value and key) in the index cache.',
      ),
    ),
  };
  const counters = {
    evicted: metrics.counter(
      family(
        'items_evicted_total',
        'Total number of items that were evicted from the index cache.',
      ),
    ),
    added: metrics.counter(
      family('items_added_total', 'Total number of items that were added to the index cache.'),
    ),
    overflowed: metrics.counter(
      family(
        'items_overflowed_total',
        'Total number of items that could not be added to the cache due to being too big.',
      ),
    ),
  };
  const maxBytes = family(
    'max_size_bytes',
    'Maximum number of bytes to be held in the index cache.',
  );
  const maxItemBytes = family(
    'max_item_size_bytes',
    'Maximum number of bytes for single entry to be held in the index cache.',
  );
  metrics.gauge({ ...maxBytes, labels: [] }).set(cache.maxBytes);
  metrics.gauge({ ...maxItemBytes, labels: [] }).set(cache.maxItemBytes);
  metrics.beforeScrape(() => {
    for (const counter of Object.values(counters)) counter.reset();
    for (const type of ITEM_TYPES) {
      const stats = cache.stats(KEY_KINDS[type]);
      const labels = { item_type: type };
      for (const key of keysOf(gauges)) gauges[key].set(labels, stats[key]);
      for (const key of keysOf(counters)) counters[key].inc(labels, stats[key]);
    }
  });
}

function keysOf<T extends object>(of: T): (keyof T)[] {
  return Object.keys(of) as (keyof T)[];
}
