import * as v from 'valibot';
import { messageOf } from '#/lib/errors.ts';
import { compileRelabeling } from '#/model/relabel.ts';
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
 * @throws BadInputError naming line and column of what is wrong, also of an action that is not among
 *   `actions`, a pattern that does not compile, and keys that contradict the action.
 */
export function parseRelabelRules(
  source: string,
  text: string,
  actions: readonly string[],
): readonly RelabelRule[] {
  const rule = v.pipe(
    relabelRule,
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      const problem = problemOf(dataset.value, actions);
      if (problem !== undefined) addIssue({ message: problem });
    }),
  );
  return parseYaml(source, text, v.optional(v.array(rule), []));
}

function problemOf(rule: RelabelRule, actions: readonly string[]): string | undefined {
  const { action = 'replace' } = rule;
  if (!actions.includes(action.toLowerCase())) {
    return `relabel action "${action}" is not allowed here; use one of ${actions.join(', ')}`;
  }
  try {
    compileRelabeling([rule]);
    return undefined;
  } catch (thrown) {
    return messageOf(thrown).replace(/^relabel rule 1: /, '');
  }
}
