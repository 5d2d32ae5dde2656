/**
 * The NaN that marks the end of a series, told from other NaNs by its bits (model/value/value.go in
 * Prometheus). It is a signalling NaN, and V8 may make any NaN quiet on its way through a variable,
 * a field or a column, which sets one bit. So both forms count as stale when they are read, and code
 * that hands bits on writes the true ones with `setStale`. A plain array of numbers may lose all of
 * a NaN's bits: keep values that can be stale out of those.
 */
const STALE_HIGH = 0x7ff00000;
const STALE_LOW = 0x00000002;
const QUIET = 0x00080000;

/** The 32-bit halves of a column of doubles: low half of value i at `2i`, high half at `2i + 1`. */
export function halvesOf(values: Float64Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length * 2);
}

/** Whether value `index` of the column with these halves is the stale marker. */
export function isStale(halves: Int32Array, index: number): boolean {
  return (
    halves[2 * index] === STALE_LOW && (halves[2 * index + 1]! | QUIET) === (STALE_HIGH | QUIET)
  );
}

/** Writes the stale marker as value `index`. */
export function setStale(halves: Int32Array, index: number): void {
  halves[2 * index + 1] = STALE_HIGH;
  halves[2 * index] = STALE_LOW;
}

/** Writes the NaN that Prometheus keeps for every NaN that is no stale marker. */
export function setNormalNaN(halves: Int32Array, index: number): void {
  halves[2 * index + 1] = 0x7ff80000;
  halves[2 * index] = 0x00000001;
}

const scratch = new Float64Array(1);
const scratchHalves = halvesOf(scratch);

/** For single values off the hot path. */
export function isStaleNaN(value: number): boolean {
  if (value === value) return false;
  scratch[0] = value;
  return isStale(scratchHalves, 0);
}

/** The stale marker as a number, for code that will ask `isStaleNaN`. */
export function staleNaN(): number {
  setStale(scratchHalves, 0);
  return scratch[0]!;
}
