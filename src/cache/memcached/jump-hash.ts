/**
 * One of `buckets` for a 64-bit key, such that one bucket more moves 1/buckets of the keys.
 * Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm" (2014).
 */
export function jumpHash(key: bigint, buckets: number): number {
  let state = key;
  let bucket = 0;
  for (let next = 0; next < buckets;) {
    bucket = next;
    state = BigInt.asUintN(64, state * 2_862_933_555_777_941_757n + 1n);
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(state >> 33n) + 1)));
  }
  return bucket;
}
