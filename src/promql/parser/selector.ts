import { BadInputError } from '#/lib/errors.ts';
import { METRIC_NAME } from '#/model/labels.ts';
import type { Label } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { Matcher, MatchType } from '#/model/matcher.ts';
import type { VectorSelector } from '../ast.ts';
import { unquote } from './literals.ts';
import type { TokenStream } from './token-stream.ts';
import type { Token } from './tokens.ts';

/**
 * Parses the rest of an instant selector, whose metric name (if it has one) has just been taken.
 * The matcher for that name comes last.
 */
export function parseVectorSelector(p: TokenStream, name: Token | undefined): VectorSelector {
  const start = (name ?? p.peek()).start;
  const matchers = name === undefined || p.at('{') ? parseBraces(p, matching, parseMatcher) : [];
  const position = { start, end: p.end };
  if (name !== undefined) matchers.push(newMatcher('=', METRIC_NAME, name.text));
  return {
    kind: 'vector-selector',
    name: name?.text ?? '',
    matchers,
    anchored: false,
    smoothed: false,
    position,
  };
}

/** Parses `{name="value", …}` of a metric; absent braces are an empty set. */
export function parseLabelSet(p: TokenStream): Label[] {
  return p.at('{') ? parseBraces(p, labelSet, parseLabel) : [];
}

interface BraceWords {
  readonly what: string;
  /** What an item may be followed by instead of its value. */
  readonly operator: string;
}

const matching: BraceWords = { what: 'label matching', operator: 'label matching operator' };
const labelSet: BraceWords = { what: 'label set', operator: '"="' };

/** `{item, …}`, a comma at the end allowed. */
function parseBraces<T>(
  p: TokenStream,
  words: BraceWords,
  parseItem: (p: TokenStream, words: BraceWords) => T,
): T[] {
  if (!p.at('{')) p.unexpected();
  p.take();
  const items: T[] = [];
  while (p.accept('}') === undefined) {
    items.push(parseItem(p, words));
    if (p.accept(',') !== undefined) continue;
    if (!p.at('}')) p.unexpected({ what: words.what, expected: '"," or "}"' });
  }
  return items;
}

/** A name may stand in quotes; alone there it is the metric's. */
function parseName(p: TokenStream, { what }: BraceWords): { name: string; token: Token } {
  const token = p.peek();
  if (token.type !== 'IDENTIFIER' && token.type !== 'STRING') {
    p.unexpected({ what, expected: 'identifier or "}"' });
  }
  p.take();
  return { name: token.type === 'STRING' ? unquote(token.text) : token.text, token };
}

function parseMatcher(p: TokenStream, words: BraceWords): Matcher {
  const { name, token } = parseName(p, words);
  const type = p.peek().type;
  if (type !== '=' && type !== '!=' && type !== '=~' && type !== '!~') {
    if (token.type === 'STRING') return newMatcher('=', METRIC_NAME, name);
    return p.unexpected({ what: words.what, expected: words.operator });
  }
  p.take();
  return compiled(p, token, () => newMatcher(type satisfies MatchType, name, parseValue(p, words)));
}

function parseLabel(p: TokenStream, words: BraceWords): Label {
  const { name, token } = parseName(p, words);
  if (!p.at('=')) {
    if (token.type === 'STRING') return { name: METRIC_NAME, value: name };
    return p.unexpected({ what: words.what, expected: words.operator });
  }
  p.take();
  return { name, value: parseValue(p, words) };
}

function parseValue(p: TokenStream, { what }: BraceWords): string {
  if (!p.at('STRING')) p.unexpected({ what, expected: 'string' });
  return unquote(p.take().text);
}

/** Gives a bad pattern its place. */
function compiled(p: TokenStream, at: Token, make: () => Matcher): Matcher {
  try {
    return make();
  } catch (thrown) {
    if (thrown instanceof BadInputError && thrown.constructor === BadInputError) {
      return p.fail(at.start, thrown.message);
    }
    throw thrown;
  }
}
