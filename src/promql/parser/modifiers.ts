import type {
  AtModifier,
  DurationExpression,
  Expression,
  MatrixSelector,
  SubqueryExpression,
  VectorSelector,
} from '../ast.ts';
import {
  atNumberOrDuration,
  parseDurationExpression,
  parseNumberOrDuration,
  parseOffset,
} from './duration.ts';
import type { SyntaxContext, TokenStream } from './token-stream.ts';

const DURATION = 'number, duration, step(), or range()';
const BRACKET: SyntaxContext = { what: 'subquery or range selector', expected: DURATION };
const RANGE: SyntaxContext = { what: 'subquery or range', expected: '":" or "]"' };
const STEP: SyntaxContext = {
  what: 'subquery selector',
  expected: 'number, duration, step(), range(), or "]"',
};
const CLOSE: SyntaxContext = { what: 'subquery selector', expected: '"]"' };
const AT: SyntaxContext = { what: '@', expected: 'timestamp' };

/** `[range]` makes a range selector, `[range:step]` a subquery of whatever is in front. */
export function parseRange(
  p: TokenStream,
  operand: Expression,
): MatrixSelector | SubqueryExpression {
  const open = p.take();
  const outer = p.context;
  p.context = BRACKET;
  const range = parsePositiveDuration(p);
  p.context = outer;
  if (p.accept(':') !== undefined) return parseSubquery(p, operand, range);
  if (!p.at(']')) p.unexpected(RANGE);
  const { end } = p.take();
  if (operand.kind !== 'vector-selector') {
    return p.fail(open.start, 'ranges only allowed for vector selectors');
  }
  if (operand.offset !== undefined) p.fail(open.start, 'no offset modifiers allowed before range');
  if (operand.at !== undefined) p.fail(open.start, 'no @ modifiers allowed before range');
  const position = { start: operand.position.start, end };
  return { kind: 'matrix-selector', selector: operand, range, position };
}

function parseSubquery(
  p: TokenStream,
  expression: Expression,
  range: DurationExpression,
): SubqueryExpression {
  const outer = p.context;
  p.context = STEP;
  const step = p.at(']') ? undefined : parsePositiveDuration(p);
  p.context = outer;
  if (!p.at(']')) p.unexpected(CLOSE);
  const { end } = p.take();
  const position = { start: expression.position.start, end };
  const subquery = { kind: 'subquery', expression, range, position } as const;
  return step === undefined ? subquery : { ...subquery, step };
}

/** Only a plain number can be checked here; arithmetic is when its query is known. */
function parsePositiveDuration(p: TokenStream): DurationExpression {
  const duration = parseDurationExpression(p);
  if (duration.kind === 'literal' && !(duration.seconds > 0)) {
    p.fail(duration.position, 'duration must be greater than 0');
  }
  return duration;
}

type Timed = VectorSelector | MatrixSelector | SubqueryExpression;

export function parseOffsetOf(p: TokenStream, operand: Expression): Timed {
  p.take();
  const offset = parseOffset(p);
  if (!isTimed(operand)) return p.fail(operand.position, needsSelector('offset'));
  if (timesOf(operand).offset !== undefined) {
    p.fail(operand.position, 'offset may not be set multiple times');
  }
  // An offset of nothing is as good as none, and may be set again.
  const isNothing = offset.kind === 'literal' && offset.seconds === 0;
  return withTimes(p, operand, isNothing ? {} : { offset });
}

export function parseAt(p: TokenStream, operand: Expression): Timed {
  p.take();
  const outer = p.context;
  p.context = AT;
  const at = parseTimestamp(p, operand);
  p.context = outer;
  if (!isTimed(operand)) return p.fail(operand.position, needsSelector('@'));
  if (timesOf(operand).at !== undefined) {
    p.fail(operand.position, '@ <timestamp> may not be set multiple times');
  }
  return withTimes(p, operand, { at });
}

function parseTimestamp(p: TokenStream, operand: Expression): AtModifier {
  if (p.at('start') || p.at('end')) {
    const kind = p.take().type as 'start' | 'end';
    p.expect('(');
    p.expect(')');
    return { kind };
  }
  const isNegative = p.at('-');
  if (isNegative || p.at('+')) p.take();
  if (!atNumberOrDuration(p)) p.unexpected();
  const { seconds } = parseNumberOrDuration(p);
  const time = isNegative ? -seconds : seconds;
  if (!(Math.abs(time) < 2 ** 63)) {
    p.fail(operand.position, `timestamp out of bounds for @ modifier: ${formatFixed(time)}`);
  }
  return { kind: 'time', timeMs: roundHalfAway(time * 1000) };
}

/** As Go's `%f`. */
function formatFixed(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return `${BigInt(value)}.000000`;
}

function roundHalfAway(value: number): number {
  return Math.sign(value) * Math.round(Math.abs(value)) || 0;
}

/** `anchored` and `smoothed`, which belong to the selector and leave its position alone. */
export function parseExtension(p: TokenStream, operand: Expression): Expression {
  const extension = p.take().type as 'anchored' | 'smoothed';
  const { position } = operand;
  if (!p.features.extendedRangeSelectors) {
    p.fail(position, `${extension} modifier is experimental and not enabled`);
  }
  if (operand.kind === 'subquery') {
    p.fail(position, `${extension} modifier is not supported for subqueries`);
  }
  if (operand.kind !== 'vector-selector' && operand.kind !== 'matrix-selector') {
    return p.fail(position, `${extension} modifier not implemented`);
  }
  const selector = { ...selectorOf(operand), [extension]: true };
  if (selector.anchored && selector.smoothed) {
    p.fail(position, 'anchored and smoothed modifiers cannot be used together');
  }
  return operand.kind === 'vector-selector' ? selector : { ...operand, selector };
}

interface Times {
  readonly offset?: DurationExpression;
  readonly at?: AtModifier;
}

/** A range selector keeps offset and time at its inner selector. */
function withTimes(p: TokenStream, operand: Timed, times: Times): Timed {
  const position = { start: operand.position.start, end: p.end };
  if (operand.kind === 'matrix-selector') {
    return { ...operand, selector: { ...operand.selector, ...times }, position };
  }
  return { ...operand, ...times, position };
}

function timesOf(operand: Timed): Times {
  return operand.kind === 'matrix-selector' ? operand.selector : operand;
}

function selectorOf(operand: VectorSelector | MatrixSelector): VectorSelector {
  return operand.kind === 'matrix-selector' ? operand.selector : operand;
}

function isTimed(operand: Expression): operand is Timed {
  return (
    operand.kind === 'vector-selector' ||
    operand.kind === 'matrix-selector' ||
    operand.kind === 'subquery'
  );
}

function needsSelector(modifier: string): string {
  const name = modifier === '@' ? '@ modifier' : `${modifier} modifier`;
  return `${name} must be preceded by an instant vector selector or range vector selector or a subquery`;
}
