import { LRUCache } from 'lru-cache';
import type { Clock } from '#/lib/clock.ts';
import type { ByteCache } from './cache.ts';

export interface LruOptions {
  /** Bound of all values and keys together, in bytes. */
  readonly maxBytes: number;
  /** Larger values are not kept. */
  readonly maxItemBytes: number;
  readonly clock: Pick<Clock, 'now'>;
}

/** What a cache did with the entries of one kind. */
export interface CacheStats {
  requests: number;
  hits: number;
  /** Hits that were too old. */
  expired: number;
  added: number;
  /** Let go to make room, or because their time had passed. */
  evicted: number;
  /** Too large to be kept. */
  overflowed: number;
  items: number;
  /** Of values alone. */
  valueBytes: number;
  /** With keys and what an entry costs besides. */
  sizeBytes: number;
}

interface Entry {
  readonly value: Uint8Array;
  readonly expiresMs: number;
}

/** What an entry costs besides its bytes: the map's slot, the key's and the view's objects. */
const ENTRY_OVERHEAD = 128;

/** A cache in this process that forgets what was used longest ago. */
export class LruByteCache implements ByteCache {
  readonly maxBytes: number;
  readonly maxItemBytes: number;
  readonly #entries: LRUCache<string, Entry>;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #stats = new Map<string, CacheStats>();
  #lastKind = '';
  #lastStats: CacheStats = this.stats('');

  constructor({ maxBytes, maxItemBytes, clock }: LruOptions) {
    this.maxBytes = maxBytes;
    this.maxItemBytes = Math.min(maxItemBytes, maxBytes);
    this.#clock = clock;
    this.#entries = new LRUCache({
      maxSize: Math.max(1, maxBytes),
      sizeCalculation: ({ value }, key) => entrySize(value, key),
      dispose: (entry, key, reason) => this.#forgotten(entry, key, reason === 'evict'),
    });
  }

  /** The numbers of the keys that begin with `kind:`; they live on. */
  stats(kind: string): CacheStats {
    let stats = this.#stats.get(kind);
    if (stats === undefined) this.#stats.set(kind, (stats = noStats()));
    return stats;
  }

  /** The kinds of keys that were seen. */
  kinds(): string[] {
    return [...this.#stats.keys()];
  }

  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    return Promise.resolve(keys.map((key) => this.#get(key)));
  }

  /** Copies the value: a view would keep the whole buffer of a coalesced read alive. */
  set(key: string, value: Uint8Array, ttlMs?: number): void {
    if (ttlMs !== undefined && ttlMs <= 0) return;
    const stats = this.#statsOf(key);
    const size = entrySize(value, key);
    if (size > this.maxItemBytes) {
      stats.overflowed++;
      return;
    }
    const expiresMs = ttlMs === undefined ? Infinity : this.#clock.now() + ttlMs;
    this.#entries.set(key, { value: value.slice(), expiresMs });
    stats.added++;
    stats.items++;
    stats.valueBytes += value.length;
    stats.sizeBytes += size;
  }

  #get(key: string): Uint8Array | undefined {
    const stats = this.#statsOf(key);
    stats.requests++;
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresMs !== Infinity && entry.expiresMs <= this.#clock.now()) {
      stats.expired++;
      stats.evicted++;
      this.#entries.delete(key);
      return undefined;
    }
    stats.hits++;
    return entry.value;
  }

  #forgotten({ value }: Entry, key: string, evicted: boolean): void {
    const stats = this.#statsOf(key);
    if (evicted) stats.evicted++;
    stats.items--;
    stats.valueBytes -= value.length;
    stats.sizeBytes -= entrySize(value, key);
  }

  /** Keys come in runs of one kind. */
  #statsOf(key: string): CacheStats {
    const { length } = this.#lastKind;
    if (key.charCodeAt(length) === COLON && key.startsWith(this.#lastKind)) return this.#lastStats;
    this.#lastKind = key.slice(0, Math.max(0, key.indexOf(':')));
    this.#lastStats = this.stats(this.#lastKind);
    return this.#lastStats;
  }
}

const COLON = 0x3a;

function entrySize(value: Uint8Array, key: string): number {
  return value.length + key.length + ENTRY_OVERHEAD;
}

function noStats(): CacheStats {
  return {
    requests: 0,
    hits: 0,
    expired: 0,
    added: 0,
    evicted: 0,
    overflowed: 0,
    items: 0,
    valueBytes: 0,
    sizeBytes: 0,
  };
}
