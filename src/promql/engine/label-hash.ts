import type { Labels } from '#/model/labels.ts';

/**
 * A number in `[0, 1)` that depends on the labels alone: their 64-bit hash as a fraction, the same
 * as Prometheus's HashRatioSampler, so that `limit_ratio` picks the same series.
 */
export function sampleOffset(labels: Labels): number {
  return Number(xxHash64(encodeLabels(labels))) / 2 ** 64;
}

/**
 * Prometheus's form of a label set in memory (model/labels/labels_stringlabels.go):
 *
 *     (size | name | size | value)*      size: 1 byte, or 255 and 3 bytes, little-endian
 */
function encodeLabels(labels: Labels): Uint8Array {
  const encoder = new TextEncoder();
  const bytes: number[] = [];
  for (const text of labels.flat) {
    const encoded = encoder.encode(text);
    const size = encoded.length;
    if (size < 255) bytes.push(size);
    else bytes.push(255, size & 0xff, (size >> 8) & 0xff, size >> 16);
    for (const byte of encoded) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

const PRIME1 = 0x9e3779b185ebca87n;
const PRIME2 = 0xc2b2ae3d27d4eb4fn;
const PRIME3 = 0x165667b19e3779f9n;
const PRIME4 = 0x85ebca77c2b2ae63n;
const PRIME5 = 0x27d4eb2f165667c5n;

/** XXH64 with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). Slow: about 20 MB/s. */
export function xxHash64(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let hash = PRIME5;
  if (bytes.length >= 32) {
    const lanes = [u64(PRIME1 + PRIME2), PRIME2, 0n, u64(-PRIME1)];
    for (; at + 32 <= bytes.length; at += 32) {
      for (const lane of lanes.keys()) {
        lanes[lane] = round(lanes[lane]!, view.getBigUint64(at + 8 * lane, true));
      }
    }
    const [a, b, c, d] = lanes as [bigint, bigint, bigint, bigint];
    hash = u64(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
    for (const lane of lanes) hash = u64((hash ^ round(0n, lane)) * PRIME1 + PRIME4);
  }
  hash = u64(hash + BigInt(bytes.length));
  for (; at + 8 <= bytes.length; at += 8) {
    hash ^= round(0n, view.getBigUint64(at, true));
    hash = u64(rotate(hash, 27n) * PRIME1 + PRIME4);
  }
  if (at + 4 <= bytes.length) {
    hash ^= u64(BigInt(view.getUint32(at, true)) * PRIME1);
    hash = u64(rotate(hash, 23n) * PRIME2 + PRIME3);
    at += 4;
  }
  for (; at < bytes.length; at++) {
    hash ^= u64(BigInt(bytes[at]!) * PRIME5);
    hash = u64(rotate(hash, 11n) * PRIME1);
  }
  return avalanche(hash);
}

function avalanche(hash: bigint): bigint {
  const first = u64((hash ^ (hash >> 33n)) * PRIME2);
  const second = u64((first ^ (first >> 29n)) * PRIME3);
  return second ^ (second >> 32n);
}

function round(lane: bigint, input: bigint): bigint {
  return u64(rotate(u64(lane + input * PRIME2), 31n) * PRIME1);
}

function rotate(value: bigint, bits: bigint): bigint {
  return u64((value << bits) | (value >> (64n - bits)));
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}
