import { BadInputError } from '#/lib/errors.ts';
import { parseDuration } from './time.ts';

/** A time that may move with the clock: asked for at every use. Milliseconds. */
export type TimeOrDuration = (now: number) => number;

/**
 * Parses an RFC 3339 time, or a duration relative to now (`-2w`, `2h45m`), as Thanos's
 * `--min-time` and `--max-time` take them.
 */
export function parseTimeOrDuration(text: string): TimeOrDuration {
  const at = parseRfc3339(text);
  if (at !== undefined) return () => at;
  const sign = text.startsWith('-') ? -1 : 1;
  try {
    const duration = parseDuration(text.replace(/^[-+]/, ''));
    return (now) => now + sign * duration;
  } catch {
    throw new BadInputError(`must be an RFC 3339 time or a duration such as -2w, got "${text}"`);
  }
}

/** Milliseconds of an RFC 3339 time, fractions included; `undefined` if it is none. */
export function parseRfc3339(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text))
    return undefined;
  const time = Date.parse(text.toUpperCase());
  return Number.isNaN(time) ? undefined : time;
}
