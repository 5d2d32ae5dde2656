import type { Span } from '#/model/histogram.ts';
import { spanIndexes, spansOf } from './bucket-indexes.ts';

/** The finest schema that we compute with. */
export const MAX_SCHEMA = 8;

/** Buckets of one sign under a coarser schema: bucket `target[i]` takes the count of bucket i. */
export interface Reduction {
  readonly spans: readonly Span[];
  readonly target: Int32Array;
}

/** Where the buckets of `spans` go when the schema falls by `steps`: 2^steps of them become one. */
export function reduceSpans(spans: readonly Span[], steps: number): Reduction {
  const width = 2 ** steps;
  const reduced = spanIndexes(spans).map((index) => Math.floor((index - 1) / width) + 1);
  const distinct = reduced.filter((index, i) => i === 0 || index !== reduced[i - 1]);
  const target = new Int32Array(reduced.length);
  for (let i = 1; i < reduced.length; i++) {
    target[i] = target[i - 1]! + (reduced[i] === reduced[i - 1] ? 0 : 1);
  }
  return { spans: spansOf(distinct), target };
}
