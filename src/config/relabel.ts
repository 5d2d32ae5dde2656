import * as v from 'valibot';
import { BadInputError } from '#/lib/errors.ts';
import { parseYaml } from './yaml.ts';

/** Actions that only choose, and so may select blocks and stores. */
export const selectorActions = ['keep', 'drop', 'hashmod'] as const;

const relabelRule = v.strictObject({
  source_labels: v.optional(v.array(v.string())),
  separator: v.optional(v.string()),
  regex: v.optional(v.string()),
  modulus: v.optional(v.number()),
  target_label: v.optional(v.string()),
  replacement: v.optional(v.string()),
  action: v.optional(v.string()),
});

/** A rule of Prometheus's `relabel_configs`, as the file has it. */
export type RelabelRule = v.InferOutput<typeof relabelRule>;

/**
 * Reads a list of relabeling rules.
 * @throws BadInputError naming the place, or the action that is not among `actions`.
 */
export function parseRelabelRules(
  source: string,
  text: string,
  actions: readonly string[],
): readonly RelabelRule[] {
  const rules = parseYaml(source, text, v.optional(v.array(relabelRule), []));
  for (const { action = 'replace' } of rules) {
    if (actions.includes(action.toLowerCase())) continue;
    throw new BadInputError(
      `${source}: relabel action "${action}" is not allowed here; use one of ${actions.join(', ')}`,
    );
  }
  return rules;
}
