import { BadInputError } from '#/lib/errors.ts';

/** The earliest and latest times of the StoreAPI, as near as a number comes to ±2^63 ms. */
export const MIN_TIME = -(2 ** 63);
export const MAX_TIME = 2 ** 63;

const UNITS_MS = {
  y: 31_536_000_000,
  w: 604_800_000,
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
};
const MAX_UINT64 = 2n ** 64n - 1n;

/**
 * Parses a Prometheus duration (`1h30m`, `500ms`, `0`) to milliseconds. Units go from large to
 * small, each once. Format: model/time.go in prometheus/common.
 * @throws BadInputError for the first mistake from the left.
 */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  if (text === '') throw new BadInputError('empty duration string');
  const invalid = `not a valid duration string: "${text}"`;
  if (!/^\d/.test(text)) throw new BadInputError(invalid);
  const units = Object.entries(UNITS_MS);
  let total = 0;
  let last = -1;
  for (const [, count, unit] of text.matchAll(/(\d+)(\D*)/g)) {
    if (unit === '' || BigInt(count!) > MAX_UINT64) throw new BadInputError(invalid);
    const order = units.findIndex(([name]) => name === unit);
    if (order < 0) throw new BadInputError(`unknown unit "${unit}" in duration "${text}"`);
    if (order <= last) throw new BadInputError(invalid);
    last = order;
    total += Number(count) * units[order]![1];
    // Upstream counts nanoseconds in 63 bits.
    if (total > 9_223_372_036_854) throw new BadInputError('duration out of range');
  }
  return total;
}

/** The shortest Prometheus form of a duration: `1h30m`, `1d`, `0s`. Years and weeks only when they divide it. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return '0s';
  const sign = durationMs < 0 ? '-' : '';
  let rest = Math.abs(durationMs);
  let text = '';
  for (const [unit, unitMs] of Object.entries(UNITS_MS)) {
    const exactOnly = unit === 'y' || unit === 'w';
    if (exactOnly && rest % unitMs !== 0) continue;
    const count = Math.floor(rest / unitMs);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * unitMs;
  }
  return sign + text;
}

/**
 * A duration as Go prints it, above a second to the microsecond and below to the nanosecond:
 * `1h59m0.001s`, `38h0m0s`, `20ms`, `1.5µs`, `0s`.
 */
export function formatGoDuration(durationMs: number): string {
  const sign = durationMs < 0 ? '-' : '';
  const total = Math.round(Math.abs(durationMs) * 1e6) / 1e6;
  if (total === 0) return '0s';
  if (total < 0.001) return `${sign}${Math.round(total * 1e6)}ns`;
  if (total < 1) return `${sign}${Math.round(total * 1e6) / 1000}µs`;
  if (total < 1000) return `${sign}${total}ms`;
  const hours = Math.floor(total / UNITS_MS.h);
  const minutes = Math.floor((total % UNITS_MS.h) / UNITS_MS.m);
  const seconds = `${Number(((total % UNITS_MS.m) / 1000).toFixed(6))}s`;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}` : `${sign}${seconds}`;
}
