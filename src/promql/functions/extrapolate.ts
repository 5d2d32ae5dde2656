import type { RangeWindow } from './kernel.ts';

/**
 * The start timestamp of the first sample if it lies within the range before that sample: then the
 * counter was zero there, and nothing need be guessed on the left side. 0 when there is none.
 */
export function startTimeInRange({ times, startTimes, from, rangeStart }: RangeWindow): number {
  const startTime = startTimes === undefined ? 0 : startTimes[from]!;
  return startTime > rangeStart && startTime < times[from]! ? startTime : 0;
}

/** The factor where the range begins at a known zero: only the right side is extrapolated. */
export function factorFromStart(
  startTime: number,
  lastTime: number,
  intervals: number,
  firstTime: number,
  rangeEnd: number,
): number {
  const sampled = (lastTime - startTime) / 1000;
  const average = intervals > 0 ? (lastTime - firstTime) / 1000 / intervals : 0;
  const toEnd = extension((rangeEnd - lastTime) / 1000, average);
  return sampled === 0 ? 1 : (sampled + toEnd) / sampled;
}

/**
 * What the change between the first and last sample is multiplied with to stand for the whole range.
 * A side is extended to the range's end when the gap is below 1.1 average intervals, else by half an
 * interval, and to the left never past where a counter would be zero: `zeroRatio` is its first value
 * divided by its change, Infinity when there is no such point.
 * Source: extrapolatedRate in promql/functions.go of Prometheus.
 */
export function extrapolationFactor(
  firstTime: number,
  lastTime: number,
  intervals: number,
  rangeStart: number,
  rangeEnd: number,
  zeroRatio: number,
): number {
  const sampled = (lastTime - firstTime) / 1000;
  if (sampled === 0) return 1;
  const average = sampled / intervals;
  let toStart = extension((firstTime - rangeStart) / 1000, average);
  const toZero = sampled * zeroRatio;
  if (toZero < toStart) toStart = toZero;
  return (sampled + toStart + extension((rangeEnd - lastTime) / 1000, average)) / sampled;
}

function extension(gap: number, average: number): number {
  return gap >= average * 1.1 ? average / 2 : gap;
}

/** Milliseconds as seconds, rounded as Go's Duration.Seconds does. */
export function secondsOf(durationMs: number): number {
  const whole = Math.trunc(durationMs / 1000);
  return whole + (durationMs - whole * 1000) / 1000;
}
