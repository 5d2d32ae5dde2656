import * as v from 'valibot';
import { messageOf } from '#/lib/errors.ts';
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

const BYTE_UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/**
 * Parses a number of bytes with its unit (`512MB`); units are powers of two, in any case, with an
 * optional `i` (`512MiB`). `undefined` if the text is no such number.
 */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGTPE]?)(?:i?)B$/i.exec(text.trim());
  if (match === null) return undefined;
  const exponent = BYTE_UNITS.indexOf(`${match[2]!.toUpperCase()}B`);
  return Math.floor(Number(match[1]) * 1024 ** exponent);
}

/** A number of bytes, with a unit (`64MB`) or as a plain number. */
export function byteSize() {
  return v.pipe(
    v.union([v.number(), v.string()]),
    v.rawTransform<string | number, number>(({ dataset, addIssue, NEVER }) => {
      const { value } = dataset;
      const bytes = typeof value === 'number' ? value : parseByteSize(value);
      if (bytes !== undefined && Number.isInteger(bytes) && bytes >= 0) return bytes;
      addIssue({ message: `want a number of bytes with a unit of ${BYTE_UNITS.join(', ')}` });
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
