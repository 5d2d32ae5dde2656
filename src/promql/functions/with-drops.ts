/** `change` plus the value before every fall in `[first, last]`: what the counter rose in truth. */
export function withDrops(
  change: number,
  values: Float64Array,
  first: number,
  last: number,
): number {
  let previous = values[first]!;
  for (let i = first + 1; i <= last; i++) {
    const value = values[i]!;
    if (value < previous) change += previous;
    previous = value;
  }
  return change;
}
