import * as v from 'valibot';
import { messageOf } from '#/lib/errors.ts';
import { parseByteSize } from '#/model/byte-size.ts';
import { parseDuration } from '#/model/time.ts';

/** A Prometheus duration (`1m30s`), read to milliseconds. */
export function duration() {
  return v.pipe(
    v.string(),
    v.rawTransform<string, number>(({ dataset, addIssue, NEVER }) => {
      try {
        return parseDuration(dataset.value);
      } catch (thrown) {
        addIssue({ message: `${messageOf(thrown)}; want a duration such as 30s or 1h30m` });
        return NEVER;
      }
    }),
  );
}

/** A number of bytes, with a unit (`64MB`) or as a plain number. */
export function byteSize() {
  return v.pipe(
    v.union([v.number(), v.string()]),
    v.rawTransform<string | number, number>(({ dataset, addIssue, NEVER }) => {
      const { value } = dataset;
      try {
        if (typeof value === 'string') return parseByteSize(value.trim());
        if (Number.isInteger(value) && value >= 0) return value;
        addIssue({ message: `want a whole number of bytes, got ${value}` });
      } catch (thrown) {
        addIssue({ message: messageOf(thrown) });
      }
      return NEVER;
    }),
  );
}

/** A whole number of at least `low`. */
export function wholeNumber(low = 0) {
  return v.pipe(
    v.number(),
    v.check(
      (value) => Number.isInteger(value) && value >= low,
      `want a whole number of at least ${low}`,
    ),
  );
}

/** A mapping of texts to texts. */
export function textMap() {
  return v.record(v.string(), v.string());
}

const GO_UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * A duration of Go (`500ms`, `1.5h`, or a plain number of nanoseconds), read to milliseconds; where
 * Thanos has `time.Duration` instead of Prometheus's.
 */
export function goDuration() {
  return v.pipe(
    v.union([v.number(), v.string()]),
    v.rawTransform<string | number, number>(({ dataset, addIssue, NEVER }) => {
      const { value } = dataset;
      const ms = typeof value === 'number' ? value / 1e6 : parseGoDuration(value);
      if (ms !== undefined && ms >= 0) return ms;
      addIssue({ message: 'want a duration such as 500ms, 30s or 1h30m' });
      return NEVER;
    }),
  );
}

function parseGoDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^((\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  const parts = text.matchAll(/([\d.]+)([a-zµ]+)/g);
  return Array.from(parts, ([, number, unit]) => Number(number) * GO_UNITS_MS[unit!]!).reduce(
    (sum, ms) => sum + ms,
  );
}
