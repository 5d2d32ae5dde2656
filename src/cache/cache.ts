/**
 * Bytes by key, kept for a while. A cache never fails a caller: what it cannot give is a miss, what
 * it cannot keep is dropped. Values are shared; nobody changes them.
 */
export interface ByteCache {
  /** One entry a key, `undefined` for a miss. */
  getMany(keys: readonly string[], signal?: AbortSignal): Promise<(Uint8Array | undefined)[]>;
  /**
   * Keeps a copy of the value, if there is room, and gives it for `ttlMs` at most; without a time
   * as long as the cache likes, and with 0 not at all. Returns at once.
   */
  set(key: string, value: Uint8Array, ttlMs?: number): void;
}

/** Keeps nothing. */
export const noCache: ByteCache = {
  getMany: (keys) => Promise.resolve(Array.from(keys, () => undefined)),
  set: () => undefined,
};
