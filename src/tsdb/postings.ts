import { ByteReader } from '#/lib/byte-reader.ts';
import { CorruptionError } from '#/lib/errors.ts';

/** The numbers of series, strictly ascending. */
export type Postings = Uint32Array;

export const noPostings: Postings = new Uint32Array(0);

/**
 * Decodes the body of a postings list: `count <4 bytes> | series <4 bytes> per series`. Bytes behind
 * the stated count are not looked at.
 * @throws CorruptionError if the numbers do not fit the bytes or do not ascend.
 */
export function decodePostings(body: Uint8Array, where = 'postings list'): Postings {
  const reader = new ByteReader(body, 0, where);
  const count = reader.uint32();
  const bytes = reader.bytes(4 * count);
  const postings = new Uint32Array(count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < count; i++) {
    const series = view.getUint32(4 * i);
    if (i > 0 && series <= postings[i - 1]!) {
      throw new CorruptionError(`${where}: series ${series} comes after ${postings[i - 1]}`);
    }
    postings[i] = series;
  }
  return postings;
}

/** The body of a postings list, as `decodePostings` reads it. */
export function encodePostings(postings: Postings): Uint8Array {
  const body = new Uint8Array(4 + 4 * postings.length);
  const view = new DataView(body.buffer);
  view.setUint32(0, postings.length);
  for (let i = 0; i < postings.length; i++) view.setUint32(4 + 4 * i, postings[i]!);
  return body;
}

/**
 * The series that are in all lists. Goes through the shortest and gallops through the others, so the
 * cost follows the shortest list.
 */
export function intersect(lists: readonly Postings[]): Postings {
  if (lists.length === 0) return noPostings;
  const [shortest, ...others] = lists.toSorted((a, b) => a.length - b.length);
  return others.reduce((found, list) => intersectTwo(found, list), shortest!);
}

/** The series that are in any of the lists. */
export function union(lists: readonly Postings[]): Postings {
  const filled = lists.filter((list) => list.length > 0);
  if (filled.length === 0) return noPostings;
  if (filled.length === 1) return filled[0]!;
  const all = new Uint32Array(filled.reduce((sum, list) => sum + list.length, 0));
  let at = 0;
  for (const list of filled) {
    all.set(list, at);
    at += list.length;
  }
  return withoutRepeats(all.sort());
}

/** The series of `from` that are not in `remove`. */
export function subtract(from: Postings, remove: Postings): Postings {
  if (remove.length === 0 || from.length === 0) return from;
  const kept = new Uint32Array(from.length);
  let count = 0;
  let at = 0;
  for (const series of from) {
    at = gallop(remove, at, series);
    if (remove[at] !== series) kept[count++] = series;
  }
  return kept.subarray(0, count);
}

function intersectTwo(short: Postings, long: Postings): Postings {
  const found = new Uint32Array(short.length);
  let count = 0;
  let at = 0;
  for (const series of short) {
    at = gallop(long, at, series);
    if (at === long.length) break;
    if (long[at] === series) found[count++] = series;
  }
  return found.subarray(0, count);
}

/** The first index from `start` on whose number is at least `want`; steps double, then halve. */
function gallop(list: Postings, start: number, want: number): number {
  let step = 1;
  let low = start;
  let high = start;
  while (high < list.length && list[high]! < want) {
    low = high + 1;
    high += step;
    step *= 2;
  }
  high = Math.min(high, list.length);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]! < want) low = middle + 1;
    else high = middle;
  }
  return low;
}

function withoutRepeats(sorted: Postings): Postings {
  let count = 0;
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[count++] = sorted[i]!;
  }
  return sorted.subarray(0, count);
}
