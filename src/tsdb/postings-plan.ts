import type { Matcher } from '#/model/matcher.ts';
import { intersect, noPostings, subtract, union } from './postings.ts';
import type { Postings } from './postings.ts';

/** What the matchers on one label ask of the postings lists of its values. */
export interface PostingsGroup {
  readonly name: string;
  /** Begins with all series and takes away; otherwise begins with the lists of `add`. */
  readonly addAll: boolean;
  /** Sorted values, here and below. Empty if `addAll`. */
  readonly add: readonly string[];
  /** Empty unless `addAll`. */
  readonly remove: readonly string[];
}

/** Which postings lists answer a set of matchers, and how. Groups are in name order. */
export interface PostingsPlan {
  readonly groups: readonly PostingsGroup[];
  /** Whether the list of all series is needed, because no group names series to begin with. */
  readonly needsAll: boolean;
}

/** The name and value of the list of all series. */
export const ALL_POSTINGS = { name: '', value: '' } as const;

/**
 * Plans the look-up of series that all matchers select; `undefined` if no series can match. An absent
 * label counts as the empty value, which no list has: matchers that take it begin with all series.
 * `valuesOf` gives the sorted values of a label in this index; it is asked only where needed.
 * Algorithm: Thanos's store gateway (pkg/store/bucket.go), so that both fetch the same lists.
 */
export function planPostings(
  matchers: readonly Matcher[],
  valuesOf: (name: string) => readonly string[],
): PostingsPlan | undefined {
  const byName = new Map<string, PostingsGroup>();
  for (const matcher of matchers) {
    const group = groupOf(matcher, valuesOf);
    if (group === undefined) return undefined;
    const present = byName.get(group.name);
    const merged = present === undefined ? group : mergeGroups(present, group);
    if (!merged.addAll && merged.add.length === 0) return undefined;
    byName.set(group.name, merged);
  }
  if (byName.size === 0) return undefined;
  const all = [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    groups: all.filter(({ add, remove }) => add.length + remove.length > 0),
    needsAll: all.every((group) => group.addAll),
  };
}

/** The lists that a plan needs, as names and values; some may not exist. */
export function plannedLists(plan: PostingsPlan): { name: string; value: string }[] {
  const lists = plan.groups.flatMap(({ name, add, remove }) =>
    [...add, ...remove].map((value) => ({ name, value })),
  );
  return plan.needsAll ? [ALL_POSTINGS, ...lists] : lists;
}

/** The series that a plan selects; `listOf` gives the planned lists, `undefined` for absent ones. */
export function selectPostings(
  plan: PostingsPlan,
  listOf: (name: string, value: string) => Postings | undefined,
): Postings {
  const lists = (name: string, values: readonly string[]): Postings =>
    union(values.map((value) => listOf(name, value) ?? noPostings));
  const adding = plan.groups.filter((group) => !group.addAll);
  const found = adding.map(({ name, add }) => lists(name, add));
  if (plan.needsAll) found.push(listOf(ALL_POSTINGS.name, ALL_POSTINGS.value) ?? noPostings);
  let selected = intersect(found);
  for (const { name, remove } of plan.groups) selected = subtract(selected, lists(name, remove));
  return selected;
}

function groupOf(
  matcher: Matcher,
  valuesOf: (name: string) => readonly string[],
): PostingsGroup | undefined {
  const { type, name, value, regex } = matcher;
  if (type === '=~' && value === '.*') return { name, addAll: true, add: [], remove: [] };
  if (type === '!~' && value === '.*') return undefined;
  const literals = regex === undefined ? [value] : regex.literals;
  if (matcher.matches('')) {
    const isNegation = type === '!=' || type === '!~';
    const remove =
      isNegation && literals !== undefined
        ? sortedValues(literals)
        : valuesOf(name).filter((candidate) => !matcher.matches(candidate));
    return { name, addAll: true, add: [], remove };
  }
  const isChoice = type === '=' || type === '=~';
  const add =
    isChoice && literals !== undefined
      ? sortedValues(literals)
      : valuesOf(name).filter((candidate) => matcher.matches(candidate));
  return { name, addAll: false, add, remove: [] };
}

function mergeGroups(a: PostingsGroup, b: PostingsGroup): PostingsGroup {
  const { name } = a;
  if (a.addAll && b.addAll) {
    return { name, addAll: true, add: [], remove: sortedValues([...a.remove, ...b.remove]) };
  }
  const [adding, other] = a.addAll ? [b, a] : [a, b];
  const others = new Set(other.addAll ? other.remove : other.add);
  const add = adding.add.filter((value) => others.has(value) !== other.addAll);
  return { name, addAll: false, add, remove: [] };
}

function sortedValues(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
