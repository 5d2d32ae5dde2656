import { createHash } from 'node:crypto';
import type { RE2JS } from 're2js';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { Labels } from './labels.ts';
import { compileWhole, groupText } from './regex.ts';

export const relabelActions = [
  'replace',
  'keep',
  'drop',
  'keepequal',
  'dropequal',
  'hashmod',
  'labelmap',
  'labeldrop',
  'labelkeep',
  'lowercase',
  'uppercase',
] as const;

export type RelabelAction = (typeof relabelActions)[number];

/** One step of a relabeling, with the keys of a configuration file; what is absent takes its default. */
export interface RelabelConfig {
  readonly source_labels?: readonly string[] | undefined;
  /** Default `;`. */
  readonly separator?: string | undefined;
  /** Anchored at both ends. Default `(.*)`. */
  readonly regex?: string | undefined;
  readonly modulus?: number | undefined;
  readonly target_label?: string | undefined;
  /** Default `$1`. */
  readonly replacement?: string | undefined;
  /** In any case. Default `replace`. */
  readonly action?: string | undefined;
}

/** Relabels one set of labels; `undefined` means that it is dropped. */
export type Relabeling = (labels: Labels) => Labels | undefined;

const DEFAULT_SEPARATOR = ';';
const DEFAULT_REGEX = '(.*)';
const DEFAULT_REPLACEMENT = '$1';

interface Rule {
  readonly action: RelabelAction;
  readonly sourceLabels: readonly string[];
  readonly separator: string;
  readonly regex: RE2JS;
  readonly isDefaultRegex: boolean;
  readonly modulus: bigint;
  readonly targetLabel: string;
  readonly replacement: string;
}

/**
 * Compiles relabeling rules, which are applied in turn until one drops the labels. Label names may
 * be any UTF-8. Semantics: model/relabel/relabel.go in Prometheus.
 * @throws BadInputError that names the rule (counted from 1) and what is wrong with it.
 */
export function compileRelabeling(configs: readonly RelabelConfig[]): Relabeling {
  const rules = configs.map(compileRule);
  return (labels) => {
    let current: Labels | undefined = labels;
    for (const rule of rules) {
      current = applyRule(rule, current);
      if (current === undefined) return undefined;
    }
    return current;
  };
}

function compileRule(config: RelabelConfig, index: number): Rule {
  const fail = (text: string) => new BadInputError(`relabel rule ${index + 1}: ${text}`);
  const action = relabelActions.find(
    (known) => known === (config.action ?? 'replace').toLowerCase(),
  );
  if (action === undefined) {
    throw fail(`unknown action "${config.action}"; use one of ${relabelActions.join(', ')}`);
  }
  const problem = problemOf(action, config);
  if (problem !== undefined) throw fail(problem);
  const pattern = config.regex ?? DEFAULT_REGEX;
  return {
    action,
    sourceLabels: config.source_labels ?? [],
    separator: config.separator ?? DEFAULT_SEPARATOR,
    regex: compileRegex(pattern, fail),
    isDefaultRegex: pattern === DEFAULT_REGEX,
    modulus: BigInt(config.modulus ?? 0),
    targetLabel: config.target_label ?? '',
    replacement: config.replacement ?? DEFAULT_REPLACEMENT,
  };
}

function compileRegex(pattern: string, fail: (text: string) => Error): RE2JS {
  try {
    return compileWhole(pattern);
  } catch (thrown) {
    throw fail(`regex "${pattern}" does not compile: ${messageOf(thrown)}`);
  }
}

const NEEDS_TARGET: readonly RelabelAction[] = [
  'replace',
  'hashmod',
  'lowercase',
  'uppercase',
  'keepequal',
  'dropequal',
];

/** What contradicts the action; actions that ignore a key refuse it, so that nobody relies on it. */
function problemOf(action: RelabelAction, config: RelabelConfig): string | undefined {
  const { source_labels, separator, regex, modulus, target_label = '', replacement } = config;
  const changed = {
    separator: (separator ?? DEFAULT_SEPARATOR) !== DEFAULT_SEPARATOR,
    regex: (regex ?? DEFAULT_REGEX) !== DEFAULT_REGEX,
    modulus: (modulus ?? 0) !== 0,
    replacement: (replacement ?? DEFAULT_REPLACEMENT) !== DEFAULT_REPLACEMENT,
  };
  if (modulus !== undefined && (!Number.isInteger(modulus) || modulus < 0)) {
    return `modulus is ${modulus}; want a whole number`;
  }
  if (action === 'hashmod' && !changed.modulus) return 'hashmod requires a non-zero modulus';
  if (NEEDS_TARGET.includes(action) && target_label === '') {
    return `${action} requires a target_label`;
  }
  switch (action) {
    case 'lowercase':
    case 'uppercase':
      return changed.replacement ? `replacement cannot be set for ${action}` : undefined;
    case 'labelmap':
      return replacement === ''
        ? 'labelmap requires a replacement that is a label name'
        : undefined;
    case 'keepequal':
    case 'dropequal':
      return Object.values(changed).includes(true)
        ? `${action} takes only source_labels and target_label`
        : undefined;
    case 'labeldrop':
    case 'labelkeep':
      return source_labels !== undefined ||
        target_label !== '' ||
        changed.modulus ||
        changed.separator ||
        changed.replacement
        ? `${action} takes only a regex`
        : undefined;
    default:
      return undefined;
  }
}

function applyRule(rule: Rule, labels: Labels): Labels | undefined {
  const { action, regex, targetLabel } = rule;
  const value = rule.sourceLabels.map((name) => labels.get(name)).join(rule.separator);
  switch (action) {
    case 'keep':
      return regex.matches(value) ? labels : undefined;
    case 'drop':
      return regex.matches(value) ? undefined : labels;
    case 'keepequal':
      return labels.get(targetLabel) === value ? labels : undefined;
    case 'dropequal':
      return labels.get(targetLabel) === value ? undefined : labels;
    case 'replace':
      return replace(rule, labels, value);
    case 'lowercase':
      return labels.with(targetLabel, value.toLowerCase());
    case 'uppercase':
      return labels.with(targetLabel, value.toUpperCase());
    case 'hashmod':
      return labels.with(targetLabel, String(hashOf(value) % rule.modulus));
    case 'labelmap':
      return mapNames(rule, labels);
    case 'labeldrop':
      return Labels.from([...labels].filter(({ name }) => !regex.matches(name)));
    case 'labelkeep':
      return Labels.from([...labels].filter(({ name }) => regex.matches(name)));
  }
}

function replace(rule: Rule, labels: Labels, value: string): Labels {
  const { targetLabel, replacement } = rule;
  // Most rules only set a constant.
  if (value === '' && rule.isDefaultRegex && !`${targetLabel}${replacement}`.includes('$')) {
    return labels.with(targetLabel, replacement);
  }
  const groups = groupsOf(rule.regex, value);
  if (groups === undefined) return labels;
  const target = expandTemplate(targetLabel, groups);
  return target === '' ? labels : labels.with(target, expandTemplate(replacement, groups));
}

function mapNames({ regex, replacement }: Rule, labels: Labels): Labels {
  const added = [...labels].flatMap(({ name, value }) => {
    const groups = groupsOf(regex, name);
    return groups === undefined ? [] : [{ name: expandTemplate(replacement, groups), value }];
  });
  return added.length === 0 ? labels : labels.merge(added);
}

/** The last 8 bytes of the MD5, big-endian, as Prometheus has always taken them. */
function hashOf(text: string): bigint {
  return createHash('md5').update(text).digest().readBigUInt64BE(8);
}

/** Text of a group by number or name; `''` for one that took no part in the match. */
type Groups = (group: string) => string;

function groupsOf(regex: RE2JS, text: string): Groups | undefined {
  const matcher = regex.matcher(text);
  if (!matcher.matches()) return undefined;
  return (group) => groupText(regex, matcher, group);
}

const REFERENCE = /\$(?:\$|(\w+)|\{(\w+)\})/g;

/**
 * Fills in `$1`, `${1}`, `$name` and `${name}`; `$$` is a dollar sign, any other `$` stays. As Go's
 * `Regexp.Expand`, an unbraced name is as long as possible (`$1x` is the group `1x`), and a group
 * that does not exist is empty.
 */
function expandTemplate(template: string, groups: Groups): string {
  return template.replace(REFERENCE, (_reference, bare?: string, braced?: string) => {
    const group = bare ?? braced;
    return group === undefined ? '$' : groups(group);
  });
}
