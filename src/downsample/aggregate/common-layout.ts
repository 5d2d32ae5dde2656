import { CUSTOM_BUCKETS_SCHEMA, exponentialBound } from '#/model/histogram.ts';
import type { Span } from '#/model/histogram.ts';
import {
  BUCKETS,
  reduceSpans,
  spanIndexes,
  spansOf,
  unionIndexes,
  ZERO_COUNT,
} from '#/tsdb/histogram-rows.ts';
import type { HistogramLayout } from '#/tsdb/histogram-rows.ts';

/** The layout of rows (see `HistogramRows`) that others of several layouts are added up in. */
export interface CommonLayout {
  readonly layout: HistogramLayout;
  readonly stride: number;
  /** For each of the layouts the columns its buckets go to; `undefined` if they are the same. */
  readonly targets: readonly (Int32Array | undefined)[];
  /** Columns that a sum takes from its first row only. */
  readonly taken: readonly number[];
}

/**
 * What the layouts of alike histograms have in common: the coarsest schema and every bucket. The first
 * `inFirstWindow` of them decide how spans are cut that could be cut in several ways, as happens when
 * histograms are added up window by window and put into one chunk.
 */
export function commonLayout(
  layouts: readonly HistogramLayout[],
  inFirstWindow: number,
): CommonLayout {
  const schema = layouts.reduce((least, layout) => Math.min(least, layout.schema), MAX_SCHEMA);
  const positive = layouts.map((layout) => coarser(layout.positiveSpans, layout.schema - schema));
  const negative = layouts.map((layout) => coarser(layout.negativeSpans, layout.schema - schema));
  const positiveSpans = commonSpans(positive, inFirstWindow);
  const negativeSpans = commonSpans(negative, inFirstWindow);
  const { zeroThreshold = 0, customValues = new Float64Array(0) } = layouts[0] ?? {};
  const common = { schema, zeroThreshold, positiveSpans, negativeSpans, customValues };
  const positiveIndexes = spanIndexes(positiveSpans);
  const negativeIndexes = spanIndexes(negativeSpans);
  const negativeAt = BUCKETS + positiveIndexes.length;
  const targets = layouts.map((layout) => {
    const isSame =
      layout.schema === schema &&
      sameSpans(layout.positiveSpans, positiveSpans) &&
      sameSpans(layout.negativeSpans, negativeSpans);
    if (isSame) return undefined;
    const steps = layout.schema - schema;
    return Int32Array.of(
      ...placesOf(layout.positiveSpans, steps, positiveIndexes, BUCKETS),
      ...placesOf(layout.negativeSpans, steps, negativeIndexes, negativeAt),
    );
  });
  return {
    layout: common,
    stride: negativeAt + negativeIndexes.length,
    targets,
    taken: takenOnce(common, positiveIndexes, negativeIndexes),
  };
}

/** The finest schema that chunks are read in. */
const MAX_SCHEMA = 8;

function coarser(spans: readonly Span[], steps: number): readonly Span[] {
  return steps === 0 ? spans : reduceSpans(spans, steps).spans;
}

function commonSpans(all: readonly (readonly Span[])[], inFirstWindow: number): readonly Span[] {
  const first = joinedSpans(all.slice(0, inFirstWindow));
  const joined = joinedSpans(all);
  return spanIndexes(joined).length === spanIndexes(first).length ? first : joined;
}

/** As they are if all are the same; else the fewest that cover them. */
function joinedSpans(all: readonly (readonly Span[])[]): readonly Span[] {
  const [first = [], ...others] = all;
  if (others.every((spans) => sameSpans(spans, first))) return first;
  return spansOf(all.map(spanIndexes).reduce(unionIndexes));
}

/** In which columns the buckets of `spans` are, once they are `steps` schemas coarser. */
function placesOf(
  spans: readonly Span[],
  steps: number,
  indexes: readonly number[],
  at: number,
): number[] {
  const column = new Map(indexes.map((index, i) => [index, at + i]));
  return spanIndexes(spans).map((index) => column.get(((index - 1) >> steps) + 1)!);
}

/**
 * Custom buckets have no zero bucket and no negative ones to add; and of others those that lie within
 * the zero bucket are not added, as upstream has it.
 */
function takenOnce(
  { schema, zeroThreshold }: HistogramLayout,
  positive: readonly number[],
  negative: readonly number[],
): number[] {
  const negativeAt = BUCKETS + positive.length;
  if (schema === CUSTOM_BUCKETS_SCHEMA) {
    return [ZERO_COUNT, ...negative.map((_, i) => negativeAt + i)];
  }
  const withinZero = (index: number) => exponentialBound(index, schema) <= zeroThreshold;
  return [
    ...positive.flatMap((index, i) => (withinZero(index) ? [BUCKETS + i] : [])),
    ...negative.flatMap((index, i) => (withinZero(index) ? [negativeAt + i] : [])),
  ];
}

function sameSpans(a: readonly Span[], b: readonly Span[]): boolean {
  if (a === b) return true;
  return (
    a.length === b.length &&
    a.every(({ offset, length }, i) => offset === b[i]!.offset && length === b[i]!.length)
  );
}
