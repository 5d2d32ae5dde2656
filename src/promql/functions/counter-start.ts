import type { RangeWindow } from './kernel.ts';

/**
 * Whether the start timestamp of sample `index` says that the counter began anew after the sample
 * before it. Unknown (0), impossible (after the sample) and OpenTelemetry's unknown start (equal to
 * the sample) say nothing. A start at the very time of the sample before is that of a delta series,
 * hence a reset, unless that sample's own start was unknown.
 */
export function isStartTimeReset({ times, startTimes }: RangeWindow, index: number): boolean {
  if (startTimes === undefined) return false;
  const start = startTimes[index]!;
  if (start === 0 || start >= times[index]!) return false;
  const previousTime = times[index - 1]!;
  if (start !== previousTime) return start > previousTime;
  const previousStart = startTimes[index - 1]!;
  return previousStart !== 0 && previousStart < previousTime;
}

/** Whether sample `index` claims to count since before the previous sample, but not since its start. */
export function startsOverlap({ times, startTimes }: RangeWindow, index: number): boolean {
  if (startTimes === undefined) return false;
  const start = startTimes[index]!;
  return start !== 0 && start < times[index - 1]! && start !== startTimes[index - 1]!;
}
