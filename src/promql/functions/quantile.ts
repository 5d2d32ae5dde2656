/**
 * The q-quantile of `values`, which it sorts: linear between neighbours, NaN below all numbers.
 * NaN for no values or q = NaN, −Inf below 0 and +Inf above 1.
 */
export function quantileOf(q: number, values: Float64Array): number {
  if (values.length === 0 || q !== q) return NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  values.sort();
  const rank = q * (values.length - 1);
  const lower = Math.floor(rank);
  const upper = Math.min(values.length - 1, lower + 1);
  const weight = rank - lower;
  const nans = countTrailingNaNs(values);
  return sortedAt(values, lower, nans) * (1 - weight) + sortedAt(values, upper, nans) * weight;
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
