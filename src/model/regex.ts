import { RE2JS } from 're2js';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { tooLarge } from './regex/size.ts';

/** A pattern that must match the whole text, with RE2's syntax and linear time. */
export interface AnchoredRegex {
  matches(text: string): boolean;
  /** The values it can match when those are a plain list (`a|b|c`); `undefined` when they are not. */
  readonly literals: readonly string[] | undefined;
  /** What every match begins with; `''` when nothing is known. */
  readonly prefix: string;
}

const META = /[\\.+*?()|[\]{}^$]/;
/** Compiling a pattern of fewer characters is cheap, whatever it repeats. */
const SHORT_PATTERN = 1000;
/** A byte that is no UTF-8 (see promql/parser/literals.ts). Lists of literals may have some. */
const LONE_SURROGATE = /\p{Surrogate}/u;
/** What a backslash makes literal. */
const PUNCTUATION = /[!-/:-@[-`{-~]/;

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
  // Between the parentheses of the whole, a lone one would find its other half.
  const problem = /[()]/.test(pattern) ? messageOfPattern(pattern) : undefined;
  if (problem !== undefined) throw new BadInputError(problem);
  const engine = compileWhole(pattern);
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

/**
 * The engine's own expression for a pattern that must match the whole text, for whoever wants groups.
 * @throws BadInputError with the text of Go's regexp package; also for a pattern whose size alone would
 * let one value take seconds.
 */
export function compileWhole(pattern: string): RE2JS {
  const invalid = pattern.search(LONE_SURROGATE);
  if (invalid >= 0) {
    const rest = pattern.slice(invalid);
    throw new BadInputError(`error parsing regexp: invalid UTF-8: \`${rest}\``);
  }
  const excess = tooLarge(pattern);
  if (excess !== undefined) {
    const better = pattern.length < SHORT_PATTERN ? messageOfPattern(pattern) : undefined;
    throw new BadInputError(better ?? `error parsing regexp: expression too large: ${excess}`);
  }
  try {
    return compileAsGo(`^(?s:${pattern})$`);
  } catch (thrown) {
    throw new BadInputError(messageOfPattern(pattern) ?? messageOf(thrown));
  }
}

/**
 * The text of a group by its number or name, as Expand of Go's regexp package: of several groups of one
 * name that of the first that took part in the match; `''` if none did or there is none.
 */
export function groupText(
  regex: RE2JS,
  matcher: ReturnType<RE2JS['matcher']>,
  group: string,
): string {
  const named: Record<string, number> = regex.namedGroups();
  if (/^\d+$/.test(group)) {
    const index = Number(group);
    return index > matcher.groupCount() ? '' : (matcher.group(index) ?? '');
  }
  for (let repeat = 0; ; repeat++) {
    const index = named[repeat === 0 ? group : repeatedName(group, repeat)];
    if (index === undefined) return '';
    const text = matcher.group(index);
    if (text !== null) return text;
  }
}

/** Go lets several groups have one name, the engine does not: there the later ones get names of their own. */
function compileAsGo(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern, 0);
  } catch (thrown) {
    if (!messageOf(thrown).includes('duplicate capture group name')) throw thrown;
    return RE2JS.compile(withUniqueNames(pattern), 0);
  }
}

/** Quoted text, an escaped character, a class, or the beginning of a group with a name. */
const NAMED_GROUP =
  /\\Q[^]*?(?:\\E|$)|\\[^]|\[\^?\]?(?:\\[^]|\[:\^?\w+:\]|[^\]\\])*\]|\(\?P?<(\w+)>/g;

function withUniqueNames(pattern: string): string {
  const repeats = new Map<string, number>();
  return pattern.replace(NAMED_GROUP, (text, name?: string) => {
    if (name === undefined) return text;
    const repeat = repeats.get(name) ?? 0;
    repeats.set(name, repeat + 1);
    return repeat === 0 ? text : `(?P<${repeatedName(name, repeat)}>`;
  });
}

function repeatedName(name: string, repeat: number): string {
  return `${name}__repeated_${repeat}`;
}

/** An error should show the pattern as it was given. */
function messageOfPattern(pattern: string): string | undefined {
  try {
    compileAsGo(pattern);
    return undefined;
  } catch (thrown) {
    return messageOf(thrown);
  }
}

/** `a|b\.c` and `(a|b\.c)`: characters, escaped where they mean something, and nothing else. */
function literalAlternatives(pattern: string): readonly string[] | undefined {
  const isGroup = pattern.startsWith('(') && !pattern.startsWith('(?') && pattern.endsWith(')');
  const inner = isGroup ? pattern.slice(1, -1) : pattern;
  if (!inner.includes('\\')) {
    const alternatives = inner.split('|');
    return alternatives.some((alternative) => META.test(alternative)) ? undefined : alternatives;
  }
  const alternatives: string[] = [];
  let literal = '';
  for (let i = 0; i < inner.length; i++) {
    let char = inner[i]!;
    if (char === '|') {
      alternatives.push(literal);
      literal = '';
      continue;
    }
    if (char === '\\') {
      char = inner[++i] ?? '';
      if (!PUNCTUATION.test(char)) return undefined;
    } else if (META.test(char)) {
      return undefined;
    }
    literal += char;
  }
  return [...alternatives, literal];
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
