import { RE2JS } from 're2js';
import { BadInputError, messageOf } from '#/lib/errors.ts';

/** A pattern that must match the whole text, with RE2's syntax and linear time. */
export interface AnchoredRegex {
  matches(text: string): boolean;
  /** The values it can match when those are a plain list (`a|b|c`); `undefined` when they are not. */
  readonly literals: readonly string[] | undefined;
  /** What every match begins with; `''` when nothing is known. */
  readonly prefix: string;
}

const META = /[\\.+*?()|[\]{}^$]/;

/**
 * Compiles as Prometheus does: anchored at both ends, `.` matches newlines.
 * Literals, prefixes and alternations of literals never reach the regex engine.
 * @throws BadInputError with the text of Go's regexp package.
 */
export function compileAnchored(pattern: string): AnchoredRegex {
  const cached = cache.get(pattern);
  if (cached !== undefined) return cached;
  const compiled = compile(pattern);
  if (cache.size >= CACHE_ENTRIES) cache.clear();
  cache.set(pattern, compiled);
  return compiled;
}

const CACHE_ENTRIES = 1000;
/** Compiling takes about 0.2 ms; entries depend on their key alone, so sharing them is harmless. */
const cache = new Map<string, AnchoredRegex>();

function compile(pattern: string): AnchoredRegex {
  const literals = literalAlternatives(pattern);
  if (literals !== undefined) {
    const set = new Set(literals);
    return {
      matches: (text) => set.has(text),
      literals,
      prefix: literals.length === 1 ? literals[0]! : '',
    };
  }
  if (pattern === '.*') return { matches: () => true, literals: undefined, prefix: '' };
  if (pattern === '.+') return { matches: (text) => text !== '', literals: undefined, prefix: '' };
  const engine = compileRe2(pattern);
  const prefix = literalPrefix(pattern);
  if (prefix !== '' && pattern.slice(prefix.length) === '.*') {
    return { matches: (text) => text.startsWith(prefix), literals: undefined, prefix };
  }
  return {
    matches: (text) => text.startsWith(prefix) && engine.matches(text),
    literals: undefined,
    prefix,
  };
}

function compileRe2(pattern: string): RE2JS {
  try {
    // As it stands first: an error should show the pattern that was given.
    RE2JS.compile(pattern, 0);
    return RE2JS.compile(`^(?s:${pattern})$`, 0);
  } catch (thrown) {
    throw new BadInputError(messageOf(thrown));
  }
}

/** `a|b|c` and `(a|b|c)` without any other syntax. */
function literalAlternatives(pattern: string): readonly string[] | undefined {
  const inner = /^\((?!\?)([^()]*)\)$/.exec(pattern)?.[1] ?? pattern;
  const alternatives = inner.split('|');
  return alternatives.some((alternative) => META.test(alternative)) ? undefined : alternatives;
}

/** The literal beginning of a pattern without alternation; a quantified last character is left out. */
function literalPrefix(pattern: string): string {
  if (pattern.includes('|')) return '';
  const end = pattern.search(META);
  if (end <= 0) return '';
  return '*?{'.includes(pattern[end]!)
    ? dropLastCharacter(pattern.slice(0, end))
    : pattern.slice(0, end);
}

function dropLastCharacter(text: string): string {
  return Array.from(text).slice(0, -1).join('');
}
