import { quote } from '#/model/labels.ts';
import { utf8Length } from '#/lib/utf8.ts';
import { aggregationNames } from '../ast.ts';
import type { AggregationName, ComparisonOperator, TrimOperator } from '../ast.ts';

const wordOperators = ['and', 'or', 'unless', 'atan2'] as const;
const modifiers = [
  'offset',
  'smoothed',
  'anchored',
  'by',
  'without',
  'on',
  'ignoring',
  'group_left',
  'group_right',
  'fill',
  'fill_left',
  'fill_right',
  'bool',
] as const;
/** Words that are functions of the query's times, or of two durations inside `[…]` and `offset`. */
const preprocessors = ['start', 'end', 'step', 'range', 'max_of', 'min_of'] as const;

type SymbolOperator = ArithmeticSymbol | ComparisonOperator | TrimOperator | '=~' | '!~' | '@';
type ArithmeticSymbol = '+' | '-' | '*' | '/' | '%' | '^';
type Keyword =
  | AggregationName
  | (typeof wordOperators)[number]
  | (typeof modifiers)[number]
  | (typeof preprocessors)[number];

/**
 * What a token is. Punctuation, operators and keywords stand for themselves (keywords in lower
 * case); the classes of words and literals are in capitals.
 */
export type TokenType =
  | 'EOF'
  | 'IDENTIFIER'
  | 'METRIC_IDENTIFIER'
  | 'NUMBER'
  | 'DURATION'
  | 'STRING'
  | '('
  | ')'
  | '{'
  | '}'
  | '['
  | ']'
  | ','
  | ':'
  | '='
  | SymbolOperator
  | Keyword;

export interface Token {
  readonly type: TokenType;
  /** As written. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const aggregations: ReadonlySet<string> = new Set(aggregationNames);
const operators: ReadonlySet<string> = new Set([
  ...'+ - * / % ^ == != < <= > >= </ >/ =~ !~ @'.split(' '),
  ...wordOperators,
]);
const modifierWords: ReadonlySet<string> = new Set(modifiers);
const keywords: ReadonlySet<string> = new Set([
  ...aggregationNames,
  ...wordOperators,
  ...modifiers,
  ...preprocessors,
]);

/** The type of a word: a keyword, `NUMBER` for `inf` and `nan`, or an identifier. */
export function wordType(word: string): TokenType {
  const lower = word.toLowerCase();
  if (lower === 'inf' || lower === 'nan') return 'NUMBER';
  if (isKeyword(lower)) return lower;
  return word.includes(':') ? 'METRIC_IDENTIFIER' : 'IDENTIFIER';
}

function isKeyword(word: string): word is Keyword {
  return keywords.has(word);
}

export function isAggregation(type: TokenType): type is AggregationName {
  return aggregations.has(type);
}

/** Keywords that cannot name a metric where an expression begins. */
const neverMetricNames: ReadonlySet<string> = new Set([
  'bool',
  'on',
  'ignoring',
  'group_left',
  'group_right',
  'atan2',
]);

export function canNameMetric(type: TokenType): boolean {
  if (type === 'IDENTIFIER' || type === 'METRIC_IDENTIFIER') return true;
  return isKeyword(type) && !neverMetricNames.has(type);
}

/** Whether an operand can begin with such a token. */
export function startsExpression(type: TokenType): boolean {
  return canNameMetric(type) || ['NUMBER', 'DURATION', 'STRING', '(', '{', '+', '-'].includes(type);
}

/** In `by (…)`, `on (…)` and the like every keyword is also a label name. */
export function canNameLabel(type: TokenType): boolean {
  return type === 'IDENTIFIER' || type === 'METRIC_IDENTIFIER' || isKeyword(type);
}

/** How error messages show a token, for example `<op:+>` or `identifier "up"`. */
export function describe({ type, text }: Token): string {
  switch (type) {
    case 'EOF':
      return 'end of input';
    case 'IDENTIFIER':
      return `identifier ${quote(text)}`;
    case 'METRIC_IDENTIFIER':
      return `metric identifier ${quote(text)}`;
    case 'STRING':
    case 'NUMBER':
    case 'DURATION':
      return `${type.toLowerCase()} ${shortened(text)}`;
    default:
      if (modifierWords.has(type)) return `<${text}>`;
      if (operators.has(type)) return `<op:${text}>`;
      if (aggregations.has(type)) return `<aggr:${text}>`;
      return quote(text);
  }
}

function shortened(text: string): string {
  if (utf8Length(text) <= 10) return quote(text);
  return `${quote(Array.from(text.slice(0, 20)).slice(0, 10).join(''))}...`;
}
