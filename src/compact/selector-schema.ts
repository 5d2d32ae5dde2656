import * as v from 'valibot';
import { messageOf } from '#/lib/errors.ts';
import type { Matcher } from '#/model/matcher.ts';
import { parseMatchers } from '#/promql/parser.ts';

/** A selector of series in a configuration, `{job="a"}`, read to its matchers. */
export function selector() {
  return v.pipe(
    v.string(),
    v.rawTransform<string, readonly Matcher[]>(({ dataset, addIssue, NEVER }) => {
      try {
        return parseMatchers(dataset.value);
      } catch (thrown) {
        addIssue({ message: `no selector of series: ${messageOf(thrown)}` });
        return NEVER;
      }
    }),
  );
}
