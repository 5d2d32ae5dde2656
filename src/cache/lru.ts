import { LRUCache } from 'lru-cache';
import type { ByteCache } from './cache.ts';

export interface LruOptions {
  /** Bound of all values and keys together, in bytes. */
  readonly maxBytes: number;
  /** Larger values are not kept. */
  readonly maxItemBytes: number;
}

export interface CacheStats {
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly items: number;
  readonly sizeBytes: number;
}

/** What an entry costs besides its bytes: the map's slot, the key's and the view's objects. */
const ENTRY_OVERHEAD = 128;

/** A cache in this process that forgets what was used longest ago. */
export class LruByteCache implements ByteCache {
  readonly #entries: LRUCache<string, Uint8Array>;
  readonly #maxItemBytes: number;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor({ maxBytes, maxItemBytes }: LruOptions) {
    this.#maxItemBytes = Math.min(maxItemBytes, maxBytes);
    this.#entries = new LRUCache({
      maxSize: Math.max(1, maxBytes),
      sizeCalculation: entrySize,
      dispose: (_value, _key, reason) => {
        if (reason === 'evict') this.#evictions++;
      },
    });
  }

  get stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      items: this.#entries.size,
      sizeBytes: this.#entries.calculatedSize,
    };
  }

  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const values = keys.map((key) => this.#entries.get(key));
    const hits = values.filter((value) => value !== undefined).length;
    this.#hits += hits;
    this.#misses += keys.length - hits;
    return Promise.resolve(values);
  }

  /** Copies the value: a view would keep the whole buffer of a coalesced read alive. */
  set(key: string, value: Uint8Array): void {
    if (entrySize(value, key) > this.#maxItemBytes) return;
    this.#entries.set(key, value.slice());
  }
}

function entrySize(value: Uint8Array, key: string): number {
  return value.length + key.length + ENTRY_OVERHEAD;
}
