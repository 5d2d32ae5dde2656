/** Windows that a downsampled chunk has at most, on average. */
const WINDOWS_PER_CHUNK = 140;

/**
 * The last millisecond of the window that `time`, not before 1970, lies in; windows are aligned to
 * their length. The quotient is exact: below 2^53 rounding does not reach the next whole number.
 */
export function windowEnd(time: number, resolutionMs: number): number {
  return Math.floor(time / resolutionMs) * resolutionMs + resolutionMs - 1;
}

/**
 * Into how many chunks a run of samples is downsampled: the windows to expect in its time range, as
 * densely as the range is filled, in chunks of 140. `targetChunkCount` in Thanos.
 */
export function targetChunkCount(run: {
  readonly mint: number;
  readonly maxt: number;
  readonly samples: number;
  /** The distance of samples when there are no gaps. */
  readonly fromMs: number;
  readonly toMs: number;
}): number {
  const span = run.maxt - run.mint;
  const fullness = span === 0 ? 1 : Math.min(1, run.samples / (span / run.fromMs));
  const expected = Math.trunc(Math.trunc(span / run.toMs) * fullness) + 1;
  // The smallest number of chunks of which each has 140 windows at most, rounded down.
  return Math.max(1, Math.floor(expected / (WINDOWS_PER_CHUNK + 1)) + 1);
}
