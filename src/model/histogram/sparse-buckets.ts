import { exponentialBound } from './exponential-bounds.ts';
import type { Span } from './float-histogram.ts';

/**
 * The buckets of one sign of a histogram: as many counts as the spans say. With `rests` each count
 * is a compensated sum, of which `rests` holds what rounding cut off.
 */
export interface SparseBuckets {
  readonly spans: readonly Span[];
  readonly counts: Float64Array;
  readonly rests: Float64Array | undefined;
}

/** Which bucket each count belongs to. Spans that promise more buckets than there are end early. */
export function indexesOf({ spans, counts }: Pick<SparseBuckets, 'spans' | 'counts'>): Int32Array {
  const indexes = new Int32Array(counts.length);
  let position = 0;
  let index = 0;
  for (const span of spans) {
    index += span.offset;
    for (let i = 0; i < span.length && position < indexes.length; i++)
      indexes[position++] = index++;
  }
  return indexes;
}

export function sameSpans(a: readonly Span[], b: readonly Span[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i]!.offset !== b[i]!.offset || a[i]!.length !== b[i]!.length) return false;
  }
  return true;
}

/** Collects buckets in rising order of their indexes; neighbours join one span. */
export class BucketBuilder {
  readonly #spans: { offset: number; length: number }[] = [];
  readonly #counts: Float64Array;
  readonly #rests: Float64Array | undefined;
  #length = 0;
  /** The index after the last bucket. */
  #next = 0;

  constructor(capacity: number, withRests: boolean) {
    this.#counts = new Float64Array(capacity);
    this.#rests = withRests ? new Float64Array(capacity) : undefined;
  }

  push(index: number, count: number, rest = 0): void {
    const gap = index - this.#next;
    const span = this.#spans.at(-1);
    if (span !== undefined && gap === 0) span.length++;
    else this.#spans.push({ offset: gap, length: 1 });
    this.#next = index + 1;
    this.#counts[this.#length] = count;
    if (this.#rests !== undefined) this.#rests[this.#length] = rest;
    this.#length++;
  }

  /** Adds to the last bucket when `index` is its, else begins a bucket. */
  merge(index: number, count: number, rest = 0): void {
    if (this.#length === 0 || index !== this.#next - 1) {
      this.push(index, count, rest);
    } else if (this.#rests === undefined) {
      this.#counts[this.#length - 1]! += count;
    } else {
      addCompensated(this.#counts, this.#rests, this.#length - 1, count);
      addCompensated(this.#counts, this.#rests, this.#length - 1, rest);
    }
  }

  build(): SparseBuckets {
    const counts = this.#counts.slice(0, this.#length);
    return { spans: this.#spans, counts, rests: this.#rests?.slice(0, this.#length) };
  }
}

/** One step of Kahan's and Neumaier's sum over columns (see lib/compensated-sum.ts). */
export function addCompensated(
  totals: Float64Array,
  rests: Float64Array,
  i: number,
  value: number,
): void {
  const total = totals[i]!;
  const next = total + value;
  if (next === Infinity || next === -Infinity) rests[i] = 0;
  else if (Math.abs(total) >= Math.abs(value)) rests[i]! += total - next + value;
  else rests[i]! += value - next + total;
  totals[i] = next;
}

/**
 * `a + sign × b` where both have the same schema. The first `skip` buckets of `b` are left out. Rests
 * are kept when `a` has them.
 */
export function mergeBuckets(
  a: SparseBuckets,
  b: SparseBuckets,
  sign: 1 | -1,
  skip = 0,
): SparseBuckets {
  if (sameSpans(a.spans, b.spans) && a.counts.length === b.counts.length) {
    const merged = { ...a, counts: a.counts.slice(), rests: a.rests?.slice() };
    addInPlace(merged, b, sign, skip);
    return merged;
  }
  return mergeDifferent(a, b, sign, skip);
}

/** `a += sign × b` where both have the same spans. */
export function addInPlace(
  { counts, rests }: SparseBuckets,
  b: SparseBuckets,
  sign: 1 | -1,
  skip: number,
): void {
  const length = Math.min(counts.length, b.counts.length);
  if (rests === undefined) {
    for (let i = skip; i < length; i++) counts[i]! += sign * b.counts[i]!;
    return;
  }
  for (let i = skip; i < length; i++) {
    addCompensated(counts, rests, i, sign * b.counts[i]!);
    const rest = b.rests === undefined ? 0 : b.rests[i]!;
    if (rest !== 0) addCompensated(counts, rests, i, sign * rest);
  }
}

function mergeDifferent(
  a: SparseBuckets,
  b: SparseBuckets,
  sign: 1 | -1,
  skip: number,
): SparseBuckets {
  const builder = new BucketBuilder(a.counts.length + b.counts.length, a.rests !== undefined);
  const left = indexesOf(a);
  const right = indexesOf(b);
  let i = 0;
  let j = skip;
  while (i < left.length || j < right.length) {
    const fromLeft = j >= right.length || (i < left.length && left[i]! <= right[j]!);
    const fromRight = i >= left.length || (j < right.length && right[j]! <= left[i]!);
    if (fromLeft) builder.push(left[i]!, a.counts[i]!, a.rests?.[i]);
    if (fromRight && fromLeft) addToLast(builder, right[j]!, b, j, sign, a.rests !== undefined);
    else if (fromRight) builder.push(right[j]!, sign * b.counts[j]!, sign * (b.rests?.[j] ?? 0));
    if (fromLeft) i++;
    if (fromRight) j++;
  }
  return builder.build();
}

function addToLast(
  builder: BucketBuilder,
  index: number,
  b: SparseBuckets,
  position: number,
  sign: 1 | -1,
  compensated: boolean,
): void {
  const rest = compensated ? (b.rests?.[position] ?? 0) : 0;
  builder.merge(index, sign * b.counts[position]!, sign * rest);
}

/** Merges neighbouring buckets of schema `from` into those of the coarser schema `to`. */
export function reduceBuckets(buckets: SparseBuckets, from: number, to: number): SparseBuckets {
  if (from === to || buckets.counts.length === 0) return buckets;
  const { counts, rests } = buckets;
  const builder = new BucketBuilder(counts.length, rests !== undefined);
  const indexes = indexesOf(buckets);
  for (let i = 0; i < indexes.length; i++) {
    builder.merge(((indexes[i]! - 1) >> (from - to)) + 1, counts[i]!, rests?.[i]);
  }
  return builder.build();
}

/** How many of the first buckets lie within the zero bucket, by their outer bounds. */
export function countWithinZero(
  buckets: SparseBuckets,
  schema: number,
  zeroThreshold: number,
): number {
  const first = buckets.spans[0]?.offset;
  if (first === undefined || exponentialBound(first, schema) > zeroThreshold) return 0;
  const indexes = indexesOf(buckets);
  let count = 0;
  while (count < indexes.length && exponentialBound(indexes[count]!, schema) <= zeroThreshold) {
    count++;
  }
  return count;
}

/**
 * Leaves out empty buckets, except runs of up to `maxEmpty` between others; such gaps between spans
 * are filled, too.
 */
export function compactBuckets(buckets: SparseBuckets, maxEmpty = 0): SparseBuckets {
  const { counts, rests, spans } = buckets;
  if (isCompact(buckets, maxEmpty)) return buckets;
  const indexes = indexesOf(buckets);
  const last = indexes.length === 0 ? 0 : indexes.at(-1)! - indexes[0]! + 1;
  const capacity = Math.min(last, counts.length + maxEmpty * (spans.length + 1));
  const builder = new BucketBuilder(capacity, rests !== undefined);
  let previous: number | undefined;
  for (let i = 0; i < indexes.length; i++) {
    const rest = rests === undefined ? 0 : rests[i]!;
    if (counts[i] === 0 && rest === 0) continue;
    const index = indexes[i]!;
    if (previous !== undefined && index - previous - 1 <= maxEmpty) {
      for (let empty = previous + 1; empty < index; empty++) builder.push(empty, 0);
    }
    builder.push(index, counts[i]!, rest);
    previous = index;
  }
  return builder.build();
}

function isCompact({ counts, spans }: SparseBuckets, maxEmpty: number): boolean {
  if (counts.includes(0)) return false;
  return spans.every(({ offset, length }, i) => length > 0 && (i === 0 || offset > maxEmpty));
}

/** The buckets whose inner bound is at least `zeroThreshold`, without empty ones. */
export function outsideZero(
  buckets: SparseBuckets,
  schema: number,
  zeroThreshold: number,
): SparseBuckets {
  const { counts, rests } = buckets;
  const indexes = indexesOf(buckets);
  const builder = new BucketBuilder(counts.length, rests !== undefined);
  for (let i = 0; i < indexes.length; i++) {
    const rest = rests === undefined ? 0 : rests[i]!;
    if (exponentialBound(indexes[i]! - 1, schema) < zeroThreshold) continue;
    if (counts[i] !== 0 || rest !== 0) builder.push(indexes[i]!, counts[i]!, rest);
  }
  return builder.build();
}
