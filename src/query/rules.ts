import { compareUtf8 } from '#/lib/utf8.ts';
import { Labels, compareLabels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { parseMatchers } from '#/promql/parser.ts';
import type { Alert, RecordingRule, Rule, RuleGroup, RulesRequest } from '#/proto/rules.ts';
import type { EndpointContext, RulesSource } from '#/storeapi/endpoint-apis.ts';
import { gather } from './api-proxy/fan-out.ts';
import { labelsOf, timeMsOf, withoutReplicas } from './api-proxy/label-sets.ts';

export interface FoundRules {
  readonly groups: readonly RuleGroup[];
  readonly warnings: readonly string[];
}

/**
 * The rules of all endpoints: filtered as the request says, groups of one file and name merged, and
 * of rules that differ in replica labels only the most telling one kept.
 * @throws BadInputError if a matcher string is no selector.
 */
export async function findRules(
  source: RulesSource,
  request: RulesRequest,
  replicaLabels: readonly string[],
  context: EndpointContext,
): Promise<FoundRules> {
  const matcherSets = request.matcherString.map(parseMatchers);
  const { items, warnings } = await gather<RuleGroup>(source.rules(request, context));
  const wanted = filterByName(filterByMatchers(items, matcherSets), request);
  const replicas = new Set(replicaLabels);
  const groups = mergeGroups(wanted).map((group) => ({
    ...group,
    rules: dedupRules(group.rules, replicas),
  }));
  return { groups, warnings };
}

/** Every set must match the rule's labels, of which templated ones do not count. */
function filterByMatchers(
  groups: readonly RuleGroup[],
  matcherSets: readonly (readonly Matcher[])[],
): readonly RuleGroup[] {
  if (matcherSets.length === 0) return groups;
  return withRules(groups, (rule) => {
    const plain = Labels.from(
      [...labelsOf(bodyOf(rule)?.labels)].filter(({ value }) => !value.includes('{{')),
    );
    return matcherSets.every((matchers) => matchesAll(matchers, plain));
  });
}

function filterByName(groups: readonly RuleGroup[], request: RulesRequest): readonly RuleGroup[] {
  const { ruleName, ruleGroup, file } = request;
  if (ruleName.length + ruleGroup.length + file.length === 0) return groups;
  const chosen = groups.filter(
    (group) =>
      (ruleGroup.length === 0 || ruleGroup.includes(group.name)) &&
      (file.length === 0 || file.includes(group.file)),
  );
  return withRules(
    chosen,
    (rule) => ruleName.length === 0 || ruleName.includes(bodyOf(rule)?.name ?? ''),
  );
}

/** Groups that keep no rule go. */
function withRules(groups: readonly RuleGroup[], keep: (rule: Rule) => boolean): RuleGroup[] {
  return groups
    .map((group) => ({ ...group, rules: group.rules.filter(keep) }))
    .filter(({ rules }) => rules.length > 0);
}

function mergeGroups(groups: readonly RuleGroup[]): RuleGroup[] {
  const merged = new Map<string, RuleGroup>();
  for (const group of groups) {
    const key = `${group.file};${group.name}`;
    const before = merged.get(key);
    const rules = before === undefined ? group.rules : [...before.rules, ...group.rules];
    merged.set(key, { ...(before ?? group), rules });
  }
  return [...merged].sort(([a], [b]) => compareUtf8(a, b)).map(([, group]) => group);
}

function dedupRules(rules: readonly Rule[], replicas: ReadonlySet<string>): Rule[] {
  const sorted = rules.map((rule) => stripped(rule, replicas)).sort(compareRules);
  const kept: Rule[] = [];
  for (const rule of sorted) {
    const last = kept.at(-1);
    if (last === undefined || compareRules(last, rule) !== 0) kept.push(rule);
    else if (tellsMore(rule, last)) kept[kept.length - 1] = rule;
  }
  return kept;
}

function stripped({ result }: Rule, replicas: ReadonlySet<string>): Rule {
  if (result === undefined) return {};
  const labels = withoutReplicas(result.value.labels, replicas);
  return result.$case === 'alert'
    ? { result: { $case: 'alert', value: { ...result.value, labels } } }
    : { result: { $case: 'recording', value: { ...result.value, labels } } };
}

/** Alerting rules first, then by name, labels, query and duration. */
function compareRules(a: Rule, b: Rule): number {
  const [left, right] = [bodyOf(a), bodyOf(b)];
  const kinds = Number(b.result?.$case === 'alert') - Number(a.result?.$case === 'alert');
  return (
    kinds ||
    compareUtf8(left?.name ?? '', right?.name ?? '') ||
    compareLabels(labelsOf(left?.labels), labelsOf(right?.labels)) ||
    compareUtf8(left?.query ?? '', right?.query ?? '') ||
    durationOf(a) - durationOf(b)
  );
}

/** A higher state wins, then the later evaluation. */
function tellsMore(rule: Rule, than: Rule): boolean {
  const states = stateOf(rule) - stateOf(than);
  if (states !== 0) return states > 0;
  return timeMsOf(bodyOf(rule)?.lastEvaluation) > timeMsOf(bodyOf(than)?.lastEvaluation);
}

function bodyOf({ result }: Rule): Alert | RecordingRule | undefined {
  return result?.value;
}

function durationOf({ result }: Rule): number {
  return result?.$case === 'alert' ? result.value.durationSeconds : 0;
}

function stateOf({ result }: Rule): number {
  return result?.$case === 'alert' ? result.value.state : 0;
}
