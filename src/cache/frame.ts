import xxhash from 'xxhash-wasm';
import { crc32c } from '#/lib/crc32c.ts';

const hasher = await xxhash();
const encoder = new TextEncoder();

/** `HSC1`. */
const MAGIC = 0x48534331;
const HEAD_BYTES = 28;
const CHECKSUM_AT = 24;

/**
 * Wraps a value for a cache that others can write to:
 *
 *     magic <4> | xxh64 of the key <8> | expires <8> | length <4> | crc32c <4> | value <length>
 *
 * Numbers are big-endian; `expires` is in milliseconds since the epoch; the checksum covers all that
 * comes before it and the value. So whatever is not exactly what was stored under this key is known
 * by its looks: other programs' values, cut or changed bytes, another key's value.
 */
export function sealValue(key: string, value: Uint8Array, expiresMs: number): Uint8Array {
  const frame = new Uint8Array(HEAD_BYTES + value.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, MAGIC);
  view.setBigUint64(4, keyHash(key));
  view.setBigUint64(12, BigInt(Math.max(0, Math.ceil(expiresMs))));
  view.setUint32(20, value.length);
  frame.set(value, HEAD_BYTES);
  view.setUint32(CHECKSUM_AT, checksum(frame));
  return frame;
}

export interface Opened {
  /** A view into the frame. */
  readonly value: Uint8Array;
  readonly expiresMs: number;
}

/** The value of a frame that was sealed for `key`; `undefined` for any other bytes. */
export function openValue(key: string, frame: Uint8Array): Opened | undefined {
  if (frame.length < HEAD_BYTES) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0) !== MAGIC) return undefined;
  if (view.getUint32(20) !== frame.length - HEAD_BYTES) return undefined;
  if (view.getBigUint64(4) !== keyHash(key)) return undefined;
  if (view.getUint32(CHECKSUM_AT) !== checksum(frame)) return undefined;
  return { value: frame.subarray(HEAD_BYTES), expiresMs: Number(view.getBigUint64(12)) };
}

function keyHash(key: string): bigint {
  return hasher.h64Raw(encoder.encode(key));
}

function checksum(frame: Uint8Array): number {
  return crc32c(frame, crc32c(frame, 0, 0, CHECKSUM_AT), HEAD_BYTES);
}
