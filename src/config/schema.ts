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
