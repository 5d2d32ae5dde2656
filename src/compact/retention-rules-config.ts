import * as v from 'valibot';
import { duration } from '#/config/schema.ts';
import { parseYaml } from '#/config/yaml.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { RetentionRule, Retentions } from './retention-rules.ts';
import { selector } from './selector-schema.ts';

const selectors = v.lazy((value) =>
  Array.isArray(value)
    ? v.pipe(v.array(selector()), v.minLength(1, 'want at least one selector, such as {job="a"}'))
    : v.pipe(
        selector(),
        v.transform((one) => [one]),
      ),
);

const configFile = v.optional(
  v.array(
    v.strictObject({
      match: selectors,
      retention: v.optional(duration()),
      resolution_raw: v.optional(duration()),
      resolution_5m: v.optional(duration()),
      resolution_1h: v.optional(duration()),
    }),
  ),
  [],
);

/**
 * Reads rules of retention, the first of which that selects a series counts:
 *
 *     - match: '{__name__=~".*:.*"}'
 *       retention: 5y
 *     - match: ['{namespace="dev"}', '{job="batch"}']
 *       resolution_raw: 7d
 *       resolution_5m: 90d
 *
 * A resolution of which a rule says nothing takes its `retention`, or else what `rest` has; 0d is for ever.
 * @throws BadInputError naming line and column of what is wrong.
 */
export function parseRetentionRules(
  source: string,
  text: string,
  rest: Retentions,
): readonly RetentionRule[] {
  return parseYaml(source, text, configFile).map((rule) => {
    const of = (stated: number | undefined, resolutionMs: number) =>
      [resolutionMs, stated ?? rule.retention ?? rest.get(resolutionMs) ?? 0] as const;
    const retentions = new Map([
      of(rule.resolution_raw, Resolution.Raw),
      of(rule.resolution_5m, Resolution.FiveMinutes),
      of(rule.resolution_1h, Resolution.OneHour),
    ]);
    return { selectors: rule.match, retentions };
  });
}
