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
  for (const [i, range] of ranges.entries()) {
    const last = reads.at(-1);
    const joined = last !== undefined && range.start <= last.end + maxGap;
    if (joined && Math.max(last.end, range.end) - last.start <= maxLength) {
      const end = Math.max(last.end, range.end);
      reads[reads.length - 1] = { start: last.start, end, from: last.from, to: i + 1 };
    } else {
      reads.push({ start: range.start, end: range.end, from: i, to: i + 1 });
    }
  }
  return reads;
}
