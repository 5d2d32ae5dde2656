import { decodeTime, ulid } from 'ulid';
import type { Random } from './random.ts';
import { BadInputError } from './errors.ts';

const STRICT = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

/** A new ULID, upper-case: 48 bits of `nowMs`, 80 random bits. Their text order is their time order. */
export function newUlid(nowMs: number, random: Random): string {
  return ulid(nowMs, () => random.next());
}

/** A ULID whose random part is made of the first 16 bytes of a digest: the same for the same content. */
export function contentUlid(nowMs: number, digest: Uint8Array): string {
  let next = 0;
  return ulid(nowMs, () => (digest[next++]! % 32) / 32);
}

/** What a ULID has besides its time: 16 characters. */
export function ulidEntropy(id: string): string {
  return id.slice(10);
}

/** Whether `text` is a ULID as Prometheus and Thanos write it. */
export function isUlid(text: string): boolean {
  return STRICT.test(text);
}

/**
 * Whether Go's lenient parser takes `text` for a ULID: 26 bytes, the first at most `7`. Thanos
 * decides by this what in a bucket is the directory of a block.
 */
export function looksLikeUlid(text: string): boolean {
  return Buffer.byteLength(text) === 26 && text[0]! <= '7';
}

/** The milliseconds in a ULID. @throws BadInputError if it is none. */
export function ulidTimeMs(text: string): number {
  if (!isUlid(text)) throw new BadInputError(`"${text}" is no ULID; expected 26 characters`);
  return decodeTime(text);
}
