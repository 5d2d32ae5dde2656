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

/**
 * ULIDs one behind the other in one string, which takes half of the memory of a list of them. Where a
 * text among them has another length, a NUL is before each.
 */
export function packUlids(ulids: readonly string[]): string {
  const isRegular = ulids.every((text) => text.length === LENGTH && !text.startsWith(SEPARATOR));
  return isRegular ? ulids.join('') : ulids.map((text) => SEPARATOR + text).join('');
}

/** What `packUlids()` was given. */
export function unpackUlids(packed: string): string[] {
  if (packed.startsWith(SEPARATOR)) return packed.slice(1).split(SEPARATOR);
  return Array.from({ length: packed.length / LENGTH }, (_, i) =>
    packed.slice(i * LENGTH, (i + 1) * LENGTH),
  );
}

const LENGTH = 26;
const SEPARATOR = '\0';
