import { BadInputError } from '#/lib/errors.ts';
import { parseDuration } from '#/model/time.ts';
import type { DurationExpression, PositionRange } from '../ast.ts';
import { parseNumber } from './literals.ts';
import type { TokenStream } from './token-stream.ts';
import type { Token } from './tokens.ts';

/** Number or duration token as seconds. */
export interface NumberValue {
  readonly seconds: number;
  readonly isDuration: boolean;
  readonly position: PositionRange;
}

type Literal = Extract<DurationExpression, { kind: 'literal' }>;
type DurationOperator = Extract<DurationExpression, { kind: 'binary' }>['operator'];

/** Reads a token that is known to be a number or a duration. */
export function parseNumberOrDuration(p: TokenStream): NumberValue {
  const token = p.take();
  const seconds = token.type === 'NUMBER' ? numberOf(p, token) : durationOf(p, token);
  return { seconds, isDuration: token.type === 'DURATION', position: rangeOf(token) };
}

export function atNumberOrDuration(p: TokenStream): boolean {
  return p.at('NUMBER') || p.at('DURATION');
}

function numberOf(p: TokenStream, token: Token): number {
  const value = parseNumber(token.text);
  return typeof value === 'number' ? value : p.fail(token.start, value);
}

function durationOf(p: TokenStream, token: Token): number {
  try {
    const ms = parseDuration(token.text);
    // Whole and fractional seconds apart, as Go adds them: 4.1 s is 4 + 0.1.
    return Math.trunc(ms / 1000) + ((ms % 1000) * 1e6) / 1e9;
  } catch (thrown) {
    if (thrown instanceof BadInputError) p.fail(token.start, thrown.message);
    throw thrown;
  }
}

const OFFSET = { what: 'offset', expected: 'number, duration, step(), or range()' };

/**
 * What follows the keyword `offset`. Only a parenthesised duration goes on with an operator behind
 * it: `a offset 5m + 1` adds 1 to the selector, `a offset (5m) + 1` to the offset.
 */
export function parseOffset(p: TokenStream): DurationExpression {
  const outer = p.context;
  p.context = OFFSET;
  const offset = p.at('(') ? parseDurationExpression(p) : parseOffsetOperand(p);
  p.context = outer;
  return offset;
}

function parseOffsetOperand(p: TokenStream): DurationExpression {
  if (!p.at('+') && !p.at('-')) return parseDurationOperand(p);
  const sign = p.take();
  if (atNumberOrDuration(p)) return signedLiteral(p, sign, parseLiteral(p, sign));
  if (p.at('(')) return parseSignedParen(p, sign);
  if (p.at('+') || p.at('-')) {
    return parseDurationBinary(p, applySign(p, sign, parseDurationSigned(p)), 0);
  }
  const operand = parseDurationOperand(p);
  // Unlike elsewhere a plus in front of a function stays.
  return {
    kind: 'unary',
    operator: sign.text as '+' | '-',
    operand,
    wrapped: false,
    position: { start: sign.start, end: operand.position.end },
  };
}

/** `offset -(…)`: the one place where parentheses alone need no feature flag. */
function parseSignedParen(p: TokenStream, sign: Token): DurationExpression {
  p.take();
  const inner = parseDurationExpression(p);
  p.expect(')');
  return applySign(p, sign, wrap(inner, inner.position));
}

/** A duration with arithmetic, as in `[…]`. */
export function parseDurationExpression(p: TokenStream): DurationExpression {
  p.enter();
  const expression = parseDurationBinary(p, parseDurationSigned(p), 0);
  p.leave();
  return expression;
}

const PRECEDENCE: ReadonlyMap<string, number> = new Map([
  ['+', 1],
  ['-', 1],
  ['*', 2],
  ['/', 2],
  ['%', 2],
  ['^', 3],
]);
const POWER = 3;

function parseDurationBinary(
  p: TokenStream,
  first: DurationExpression,
  minPrecedence: number,
): DurationExpression {
  p.enter();
  let left = first;
  for (let height = 1; ; height++) {
    const precedence = PRECEDENCE.get(p.peek().type) ?? -1;
    if (precedence < minPrecedence) break;
    const operator = p.take();
    const next = precedence === POWER ? precedence : precedence + 1;
    const right = parseDurationBinary(p, parseDurationSigned(p), next);
    requireDurationExpressions(p, left);
    left = newDurationBinary(p, left, operator, right);
    p.built(height);
  }
  p.leave();
  return left;
}

function newDurationBinary(
  p: TokenStream,
  left: DurationExpression,
  operator: Token,
  right: DurationExpression,
): DurationExpression {
  if (right.kind === 'literal' && right.seconds === 0) {
    if (operator.type === '/') p.fail(operator.start, 'division by zero');
    if (operator.type === '%') p.fail(operator.start, 'modulo by zero');
  }
  return {
    kind: 'binary',
    operator: operator.text as DurationOperator,
    left,
    right,
    wrapped: false,
    position: { start: left.position.start, end: right.position.end },
  };
}

/** An operand with its signs, which bind weaker than `^` and stronger than `*`. */
function parseDurationSigned(p: TokenStream): DurationExpression {
  if (!p.at('+') && !p.at('-')) return parseDurationOperand(p);
  p.enter();
  const sign = p.take();
  const operand = parseDurationBinary(p, parseDurationSigned(p), POWER);
  p.leave();
  return applySign(p, sign, operand);
}

function parseDurationOperand(p: TokenStream): DurationExpression {
  switch (p.peek().type) {
    case 'NUMBER':
    case 'DURATION':
      return parseLiteral(p);
    case 'step':
    case 'range':
      return parseQueryDuration(p);
    case 'max_of':
    case 'min_of':
      return parseExtreme(p);
    case '(':
      return parseParen(p);
    default:
      return p.unexpected();
  }
}

/** Number of seconds or duration; an error about its size points at `sign` if there is one. */
function parseLiteral(p: TokenStream, sign?: Token): Literal {
  const { seconds, isDuration, position } = parseNumberOrDuration(p);
  if (isOutOfRange(seconds)) p.fail(sign?.start ?? position.start, 'duration out of range');
  return newLiteral(seconds, isDuration, position);
}

function newLiteral(seconds: number, isDuration: boolean, position: PositionRange): Literal {
  // Through nanoseconds, which is what upstream keeps.
  const ms = Math.trunc(Math.round(seconds * 1e9) / 1e6);
  return { kind: 'literal', ms, seconds, isDuration, position };
}

/** Beyond 2^63 nanoseconds. */
function isOutOfRange(seconds: number): boolean {
  return seconds > 2 ** 63 / 1e9 || seconds < -(2 ** 63) / 1e9;
}

function parseQueryDuration(p: TokenStream): DurationExpression {
  const name = p.take();
  p.expect('(');
  const { end } = p.expect(')');
  return enabled(p, {
    kind: name.type as 'step' | 'range',
    wrapped: false,
    position: { start: name.start, end },
  });
}

function parseExtreme(p: TokenStream): DurationExpression {
  const name = p.take();
  p.expect('(');
  const left = parseDurationExpression(p);
  p.expect(',');
  const right = parseDurationExpression(p);
  p.expect(')');
  return enabled(p, {
    kind: 'binary',
    operator: name.type === 'max_of' ? 'max' : 'min',
    left,
    right,
    wrapped: false,
    // As upstream: from operand to operand, like that of an operator between them.
    position: { start: left.position.start, end: right.position.end },
  });
}

function parseParen(p: TokenStream): DurationExpression {
  const { start } = p.take();
  const inner = parseDurationExpression(p);
  p.expect(')');
  requireDurationExpressions(p, inner);
  return wrap(inner, { start, end: inner.position.end });
}

/** A parenthesised number is kept as `+number`, wrapped. */
function wrap(inner: DurationExpression, position: PositionRange): DurationExpression {
  if (inner.kind !== 'literal') return { ...inner, wrapped: true };
  return { kind: 'unary', operator: '+', operand: inner, wrapped: true, position };
}

function applySign(p: TokenStream, sign: Token, operand: DurationExpression): DurationExpression {
  if (operand.kind === 'literal') return signedLiteral(p, sign, operand);
  if (sign.type === '+') return operand;
  const position = { start: sign.start, end: operand.position.end };
  return { kind: 'unary', operator: '-', operand, wrapped: false, position };
}

function signedLiteral(p: TokenStream, sign: Token, operand: Literal): Literal {
  const seconds = sign.type === '-' ? -operand.seconds : operand.seconds;
  if (isOutOfRange(seconds)) p.fail(sign.start, 'duration out of range');
  return newLiteral(seconds, operand.isDuration, {
    start: sign.start,
    end: operand.position.end,
  });
}

function enabled(p: TokenStream, expression: DurationExpression): DurationExpression {
  requireDurationExpressions(p, expression);
  return expression;
}

function requireDurationExpressions(p: TokenStream, { position }: DurationExpression): void {
  if (!p.features.durationExpressions) {
    p.fail(position, 'experimental duration expression is not enabled');
  }
}

function rangeOf({ start, end }: Token): PositionRange {
  return { start, end };
}
