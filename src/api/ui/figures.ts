import { markup } from './html.ts';
import type { Html } from './html.ts';

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `1.5 GiB`: three figures at most. */
export function bytesText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < BYTE_UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${Number(size.toPrecision(3))} ${BYTE_UNITS[unit]!}`;
}

const DURATION_UNITS: readonly [unit: string, ms: number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
];

/** `3 h 20 min`: the two largest units; `0 s` below a second. */
export function durationText(durationMs: number): string {
  const first = DURATION_UNITS.findIndex(([, ms]) => durationMs >= ms);
  if (first === -1) return '0 s';
  let rest = durationMs;
  const parts: string[] = [];
  for (const [unit, ms] of DURATION_UNITS.slice(first, first + 2)) {
    const count = Math.floor(rest / ms);
    if (count > 0) parts.push(`${count} ${unit}`);
    rest -= count * ms;
  }
  return parts.join(' ');
}

/** `2023-11-14 22:13 UTC`. */
export function timeText(timeMs: number): string {
  if (!(Math.abs(timeMs) <= 8.64e15)) return 'outside of time';
  return `${new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** `3 h`, with the time that it has been since to point at. */
export function elapsed(sinceMs: number, nowMs: number): Html {
  return markup`<time title="since ${timeText(sinceMs)}">${durationText(nowMs - sinceMs)}</time>`;
}

/** `3 h ago` or `in 5 min`, with the time to point at. */
export function relativeTime(timeMs: number | undefined, nowMs: number): Html {
  if (timeMs === undefined) return markup`<span class="quiet">never</span>`;
  const text =
    timeMs > nowMs ? `in ${durationText(timeMs - nowMs)}` : `${durationText(nowMs - timeMs)} ago`;
  return markup`<time title="${timeText(timeMs)}">${text}</time>`;
}

export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;
}

const RESOLUTION_NAMES = new Map([
  [0, 'raw'],
  [300_000, '5m'],
  [3_600_000, '1h'],
]);

export function resolutionText(resolutionMs: number): string {
  return RESOLUTION_NAMES.get(resolutionMs) ?? durationText(resolutionMs);
}

/** `{cluster="a", zone="1"}` */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `{${pairs.join(', ')}}`;
}
