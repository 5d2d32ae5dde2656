/** A half-open range of bytes of one object. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A read that covers the ranges `[from, to)` of the sorted list it was made from. */
export interface CoalescedRead extends ByteRange {
  readonly from: number;
  readonly to: number;
}

/** Bytes between two ranges that are cheaper to read along than another request would be. */
export const MAX_GAP_BYTES = 512 * 1024;

/**
 * Joins ranges, sorted by start, into fewer reads: neighbours at most `maxGap` apart go together.
 * A read stops growing at `maxLength`, so that one request never asks for a whole huge object.
 */
export function coalesce(
  ranges: readonly ByteRange[],
  maxGap = MAX_GAP_BYTES,
  maxLength = 64 * 1024 * 1024,
): CoalescedRead[] {
  const reads: CoalescedRead[] = [];
  for (let from = 0, to = 0; from < ranges.length; from = to) {
    const { start } = ranges[from]!;
    let { end } = ranges[from]!;
    for (to = from + 1; to < ranges.length; to++) {
      const next = ranges[to]!;
      if (next.start > end + maxGap || Math.max(end, next.end) - start > maxLength) break;
      end = Math.max(end, next.end);
    }
    reads.push({ start, end, from, to });
  }
  return reads;
}
