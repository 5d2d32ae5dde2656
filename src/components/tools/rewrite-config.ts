import * as v from 'valibot';
import { selector } from '#/compact/selector-schema.ts';
import { parseYaml } from '#/config/yaml.ts';
import { allTime } from '#/tsdb/series-deletion.ts';
import type { PlainDeletion } from '#/tsdb/series-deletion.ts';

const configFile = v.optional(
  v.array(
    v.strictObject({
      matchers: selector(),
      intervals: v.optional(v.array(v.strictObject({ mint: v.number(), maxt: v.number() })), []),
      request_id: v.optional(v.string()),
    }),
  ),
  [],
);

/**
 * Reads deletions as Thanos has them: a list of `matchers` (a selector), `intervals` of milliseconds
 * (`mint`, `maxt`; none for all time) and `request_id`.
 * @throws BadInputError naming line and column of what is wrong.
 */
export function parseDeletions(source: string, text: string): readonly PlainDeletion[] {
  return parseYaml(source, text, configFile).map((deletion) => {
    const { intervals, request_id: id } = deletion;
    return {
      ...(id === undefined ? {} : { id }),
      matchers: deletion.matchers,
      intervals: intervals.length === 0 ? [allTime] : intervals,
    };
  });
}
