/**
 * The q-quantile of `values`, which it sorts: linear between neighbours, NaN below all numbers.
 * NaN for no values or q = NaN, −Inf below 0 and +Inf above 1.
 */
export function quantileOf(q: number, values: Float64Array): number {
  values.sort();
  return quantileOfSorted(q, values, countTrailingNaNs(values), values.length);
}

/** The same of `count` values: `nans` that are NaN, and the others sorted in front of `sorted`. */
export function quantileOfSorted(
  q: number,
  sorted: Float64Array,
  nans: number,
  count: number,
): number {
  if (count === 0 || q !== q) return NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const rank = q * (count - 1);
  const lower = Math.floor(rank);
  const upper = Math.min(count - 1, lower + 1);
  const weight = rank - lower;
  return sortedAt(sorted, lower, nans) * (1 - weight) + sortedAt(sorted, upper, nans) * weight;
}

/** Typed arrays sort NaN behind all numbers; here it comes before them. */
function sortedAt(values: Float64Array, index: number, nans: number): number {
  return index < nans ? NaN : values[index - nans]!;
}

function countTrailingNaNs(sorted: Float64Array): number {
  let count = 0;
  while (count < sorted.length && Number.isNaN(sorted[sorted.length - 1 - count]!)) count++;
  return count;
}
