import type {
  AggregateExpression,
  AggregationName,
  BinaryExpression,
  BinaryOperator,
  Expression,
  NumberLiteral,
  VectorMatching,
} from '../ast.ts';
import { newAggregate, newCall, parseGrouping } from './calls.ts';
import { atNumberOrDuration, parseNumberOrDuration } from './duration.ts';
import { unquote } from './literals.ts';
import { parseBinaryModifiers } from './matching.ts';
import { parseAt, parseExtension, parseOffsetOf, parseRange } from './modifiers.ts';
import { parseVectorSelector } from './selector.ts';
import type { TokenStream } from './token-stream.ts';
import { canNameMetric, isAggregation, startsExpression } from './tokens.ts';
import type { Token, TokenType } from './tokens.ts';

const LEVELS: readonly (readonly TokenType[])[] = [
  ['or'],
  ['and', 'unless'],
  ['==', '>=', '>', '<', '<=', '!=', '</', '>/'],
  ['+', '-'],
  ['*', '/', '%', 'atan2'],
  ['^'],
];
const PRECEDENCE: ReadonlyMap<TokenType, number> = new Map(
  LEVELS.flatMap((types, level) => types.map((type) => [type, level] as const)),
);
const POWER = LEVELS.length - 1;

/**
 * Parses operators of at least `minPrecedence` and their operands. All associate to the left but
 * `^`. Chains of one level take a loop, so only nesting costs stack.
 */
export function parseBinary(p: TokenStream, minPrecedence = 0): Expression {
  p.enter();
  let left = p.at('+') || p.at('-') ? parseSigned(p) : parseOperand(p);
  for (;;) {
    const operator = p.peek();
    const precedence = PRECEDENCE.get(operator.type) ?? -1;
    if (precedence < minPrecedence) break;
    p.take();
    const height = p.height;
    const modifiers = parseBinaryModifiers(p);
    const right = parseBinary(p, precedence === POWER ? precedence : precedence + 1);
    p.built(Math.max(height, p.height) + 1);
    left = newBinary(p, { left, operator: operator.type as BinaryOperator, right }, modifiers);
  }
  p.leave();
  return left;
}

interface Operation {
  readonly left: Expression;
  readonly operator: BinaryOperator;
  readonly right: Expression;
}

function newBinary(
  p: TokenStream,
  operation: Operation,
  { returnBool, matching }: { returnBool: boolean; matching: VectorMatching },
): BinaryExpression {
  const { left, right } = operation;
  const { fill } = matching;
  if (!p.features.fillModifiers && (fill.left !== undefined || fill.right !== undefined)) {
    p.fail(left.position, 'binop fill modifiers are experimental and not enabled');
  }
  const position = { start: left.position.start, end: right.position.end };
  return { kind: 'binary', ...operation, returnBool, matching, position };
}

/** A sign binds as `*` does: `-a ^ b` is `-(a ^ b)`, `-a * b` is `(-a) * b`. */
function parseSigned(p: TokenStream): Expression {
  const sign = p.take();
  const operand = parseBinary(p, POWER);
  const position = { start: sign.start, end: operand.position.end };
  if (operand.kind === 'number') {
    return { ...operand, value: sign.type === '-' ? -operand.value : operand.value, position };
  }
  p.built(p.height + 1);
  return { kind: 'unary', operator: sign.type as '+' | '-', expression: operand, position };
}

/** An operand with everything that may stand behind it: ranges, offsets, `@`. */
function parseOperand(p: TokenStream): Expression {
  p.built(1);
  let operand = parsePrimary(p);
  for (;;) {
    const height = p.height;
    switch (p.peek().type) {
      case '[':
        operand = parseRange(p, operand);
        p.built(height + 1);
        break;
      case 'offset':
        operand = parseOffsetOf(p, operand);
        p.built(height);
        break;
      case '@':
        operand = parseAt(p, operand);
        break;
      case 'anchored':
      case 'smoothed':
        operand = parseExtension(p, operand);
        break;
      default:
        return operand;
    }
  }
}

function parsePrimary(p: TokenStream): Expression {
  const token = p.peek();
  if (atNumberOrDuration(p)) return parseNumberLiteral(p);
  if (token.type === 'STRING') {
    p.take();
    const position = { start: token.start, end: token.end };
    return { kind: 'string', value: unquote(token.text), position };
  }
  if (token.type === '(') return parseParen(p);
  if (token.type === '{') return parseVectorSelector(p, undefined);
  if (!canNameMetric(token.type)) return p.unexpected();
  p.take();
  if (isAggregation(token.type) && (p.at('(') || p.at('by') || p.at('without'))) {
    return parseAggregation(p, { ...token, type: token.type });
  }
  if (callable.has(token.type) && p.at('(')) return newCall(p, token, parseArguments(p));
  return parseVectorSelector(p, token);
}

const callable: ReadonlySet<TokenType> = new Set<TokenType>([
  'IDENTIFIER',
  'start',
  'end',
  'step',
  'range',
  'max_of',
  'min_of',
]);

function parseNumberLiteral(p: TokenStream): NumberLiteral {
  const { seconds, isDuration, position } = parseNumberOrDuration(p);
  return { kind: 'number', value: seconds, isDuration, position };
}

function parseParen(p: TokenStream): Expression {
  const { start } = p.take();
  const expression = parseBinary(p);
  const { end } = p.expect(')');
  p.built(p.height + 1);
  return { kind: 'paren', expression, position: { start, end } };
}

const AGGREGATION = { what: 'aggregation', expected: '' };

/** Parses the aggregation whose operator has just been taken; its labels stand on either side. */
function parseAggregation(
  p: TokenStream,
  operator: Token & { readonly type: AggregationName },
): AggregateExpression {
  const outer = p.context;
  p.context = AGGREGATION;
  const before = parseGrouping(p);
  const args = parseArguments(p);
  const height = p.height;
  let end = p.end;
  const after = before === undefined ? parseGrouping(p) : undefined;
  if (after !== undefined) end = p.end;
  p.context = outer;
  p.built(height);
  const grouping = before ?? after ?? { without: false, grouping: [] };
  const position = { start: operator.start, end };
  return newAggregate(p, { operator: operator.type, args, ...grouping, position });
}

/** `(a, b, …)`; leaves the height of a node above the highest argument. */
function parseArguments(p: TokenStream): Expression[] {
  p.expect('(');
  const args: Expression[] = [];
  let height = 0;
  if (p.accept(')') === undefined) {
    do {
      const comma = p.end - 1;
      if (args.length > 0 && !startsExpression(p.peek().type)) {
        p.fail(comma, 'trailing commas not allowed in function call args');
      }
      args.push(parseBinary(p));
      height = Math.max(height, p.height);
    } while (p.accept(',') !== undefined);
    p.expect(')');
  }
  p.built(height + 1);
  return args;
}
