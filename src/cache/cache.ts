/**
 * Bytes by key, kept for a while. A cache never fails a caller: what it cannot give is a miss, what
 * it cannot keep is dropped. Values are shared; nobody changes them.
 */
export interface ByteCache {
  /** One entry a key, `undefined` for a miss. */
  getMany(keys: readonly string[], signal?: AbortSignal): Promise<(Uint8Array | undefined)[]>;
  /** Keeps the value, if there is room; returns at once. */
  set(key: string, value: Uint8Array): void;
}
