import { isLegacyLabelName, quote } from './labels.ts';
import type { Labels } from './labels.ts';
import { compileAnchored } from './regex.ts';
import type { AnchoredRegex } from './regex.ts';

export type MatchType = '=' | '!=' | '=~' | '!~';

/** One condition of a selector. An absent label has the value `''`. */
export interface Matcher {
  readonly type: MatchType;
  readonly name: string;
  readonly value: string;
  /** The compiled pattern of `=~` and `!~`; `undefined` for the others. */
  readonly regex: AnchoredRegex | undefined;
  matches(value: string): boolean;
}

/** @throws BadInputError if the pattern of `=~` or `!~` is no RE2 expression. */
export function newMatcher(type: MatchType, name: string, value: string): Matcher {
  const regex = type === '=~' || type === '!~' ? compileAnchored(value) : undefined;
  return { type, name, value, regex, matches: predicate(type, value, regex) };
}

function predicate(
  type: MatchType,
  want: string,
  regex: AnchoredRegex | undefined,
): (value: string) => boolean {
  switch (type) {
    case '=':
      return (value) => value === want;
    case '!=':
      return (value) => value !== want;
    case '=~':
      return (value) => regex!.matches(value);
    case '!~':
      return (value) => !regex!.matches(value);
  }
}

export function matchesAll(matchers: readonly Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => matcher.matches(labels.get(matcher.name)));
}

/**
 * The matchers that remain for a source behind `external` labels: those on external labels are
 * judged here and taken out. `undefined` when one of them does not match, so that no series can.
 */
export function matchExternalLabels(
  matchers: readonly Matcher[],
  external: Labels,
): readonly Matcher[] | undefined {
  const remaining: Matcher[] = [];
  for (const matcher of matchers) {
    const value = external.get(matcher.name);
    if (value === '') remaining.push(matcher);
    else if (!matcher.matches(value)) return undefined;
  }
  return remaining;
}

/** As in a selector: `name=~"value"`. */
export function printMatcher({ type, name, value }: Matcher): string {
  return `${isLegacyLabelName(name) ? name : quote(name)}${type}${quote(value)}`;
}
