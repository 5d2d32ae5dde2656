import type { Span } from '#/model/histogram.ts';

/** The index of every bucket that the spans cover, ascending. */
export function spanIndexes(spans: readonly Span[]): number[] {
  const indexes: number[] = [];
  let next = 0;
  for (const { offset, length } of spans) {
    next += offset;
    for (let i = 0; i < length; i++) indexes.push(next++);
  }
  return indexes;
}

/** The fewest spans that cover exactly these ascending indexes. */
export function spansOf(indexes: readonly number[]): Span[] {
  const spans: { offset: number; length: number }[] = [];
  let next = 0;
  for (const index of indexes) {
    const last = spans.at(-1);
    if (last !== undefined && index === next) last.length++;
    else spans.push({ offset: index - next, length: 1 });
    next = index + 1;
  }
  return spans;
}

/** Both ascending lists as one, without duplicates. */
export function unionIndexes(a: readonly number[], b: readonly number[]): number[] {
  const union: number[] = [];
  for (let i = 0, k = 0; i < a.length || k < b.length;) {
    const left = a[i] ?? Number.POSITIVE_INFINITY;
    const right = b[k] ?? Number.POSITIVE_INFINITY;
    union.push(Math.min(left, right));
    if (left <= right) i++;
    if (right <= left) k++;
  }
  return union;
}

/** The buckets at `from` spread over `to`, which holds all of `from`; zero elsewhere. */
export function spreadBuckets(
  buckets: Float64Array,
  from: readonly number[],
  to: readonly number[],
): Float64Array {
  const spread = new Float64Array(to.length);
  let k = 0;
  for (let i = 0; i < from.length; i++) {
    while (to[k] !== from[i]) k++;
    spread[k] = buckets[i]!;
  }
  return spread;
}
