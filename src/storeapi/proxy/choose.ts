import { quoteMeta } from './texts.ts';
import type { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { ProxyEndpoint, TsdbSelector } from './endpoint.ts';

/** What decides whether an endpoint can have a part of the answer. */
export interface Wanted {
  readonly mint: number;
  readonly maxt: number;
  readonly matchers: readonly Matcher[];
  /** Alternatives of matchers on `__address__`; none means every endpoint. */
  readonly storeMatchers: readonly (readonly Matcher[])[];
}

export interface Chosen {
  readonly endpoints: readonly ProxyEndpoint[];
  /** Matchers that keep what the TSDB selector drops out of the answers. */
  readonly extraMatchers: readonly Matcher[];
}

/** The endpoints that may have series for the request, lost ones included. */
export function chooseEndpoints(
  all: readonly ProxyEndpoint[],
  wanted: Wanted,
  selector: TsdbSelector | undefined,
): Chosen {
  const endpoints: ProxyEndpoint[] = [];
  const keptSets: Labels[] = [];
  for (const endpoint of all) {
    const { labelSets } = endpoint.store.info();
    const kept = selector?.(labelSets) ?? labelSets;
    if (selector !== undefined && labelSets.length > 0 && kept.length === 0) continue;
    if (!mayAnswer(endpoint, wanted)) continue;
    endpoints.push(endpoint);
    keptSets.push(...kept);
  }
  return { endpoints, extraMatchers: selector === undefined ? [] : matchersFor(keptSets) };
}

function mayAnswer(endpoint: ProxyEndpoint, wanted: Wanted): boolean {
  const { mint, maxt, labelSets } = endpoint.store.info();
  return (
    wanted.mint <= maxt &&
    wanted.maxt >= mint &&
    addressMatches(endpoint, wanted.storeMatchers) &&
    labelSetsMatch(labelSets, wanted.matchers) &&
    (endpoint.mayMatch?.(wanted.matchers) ?? true)
  );
}

/** Matchers on other names than `__address__` do not count, and a local store has no address. */
function addressMatches(
  { address, isLocal }: ProxyEndpoint,
  alternatives: readonly (readonly Matcher[])[],
): boolean {
  if (alternatives.length === 0) return true;
  if (isLocal === true) return false;
  return alternatives.some((matchers) =>
    matchers.every((matcher) => matcher.name !== '__address__' || matcher.matches(address)),
  );
}

/** Whether some label set contradicts no matcher; only labels that a set has can contradict. */
export function labelSetsMatch(
  labelSets: readonly Labels[],
  matchers: readonly Matcher[],
): boolean {
  if (labelSets.length === 0) return true;
  return labelSets.some((labels) =>
    matchers.every(
      (matcher) => !labels.has(matcher.name) || matcher.matches(labels.get(matcher.name)),
    ),
  );
}

/** For every label name of the sets: one of their values, or none where a set lacks the name. */
function matchersFor(labelSets: readonly Labels[]): Matcher[] {
  const valuesOf = new Map<string, Set<string>>();
  for (const labels of labelSets) {
    for (const { name, value } of labels) {
      const values = valuesOf.get(name) ?? new Set();
      valuesOf.set(name, values.add(quoteMeta(value)));
    }
  }
  return Array.from(valuesOf, ([name, values]) => {
    const alternatives = [...values].sort();
    if (labelSets.some((labels) => !labels.has(name))) alternatives.push('^$');
    return newMatcher('=~', name, alternatives.join('|'));
  });
}
