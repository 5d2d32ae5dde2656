import { BadInputError } from '#/lib/errors.ts';
import type { DurationExpression } from '../ast.ts';

/** What `step()` and `range()` stand for in a duration. */
export interface DurationScope {
  readonly stepMs: number;
  readonly rangeMs: number;
}

const MAX_SECONDS = 2 ** 63 / 1e9;

/**
 * The milliseconds of a range, an offset or a step.
 * Semantics and errors: promql/durations.go in Prometheus.
 * @throws BadInputError if it is no finite number, or not positive where it must be.
 */
export function resolveDuration(
  duration: DurationExpression,
  scope: DurationScope,
  sign: 'positive' | 'any',
): number {
  if (duration.kind === 'literal') return duration.ms;
  const seconds = secondsOf(duration, scope);
  if (!Number.isFinite(seconds)) fail(duration, 'duration is NaN or infinite');
  if (seconds <= 0 && sign === 'positive') fail(duration, 'duration must be greater than 0');
  if (Math.abs(seconds) > MAX_SECONDS) fail(duration, 'duration is out of range');
  return Math.trunc(seconds * 1000);
}

function secondsOf(duration: DurationExpression, scope: DurationScope): number {
  switch (duration.kind) {
    case 'literal':
      return duration.ms / 1000;
    case 'step':
      return scope.stepMs / 1000;
    case 'range':
      return scope.rangeMs / 1000;
    case 'unary': {
      const operand = secondsOf(duration.operand, scope);
      return duration.operator === '-' ? -operand : operand;
    }
    case 'binary':
      return combine(duration, secondsOf(duration.left, scope), secondsOf(duration.right, scope));
  }
}

function combine(
  duration: Extract<DurationExpression, { kind: 'binary' }>,
  left: number,
  right: number,
): number {
  switch (duration.operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      if (right === 0) fail(duration, 'division by zero');
      return left / right;
    case '%':
      if (right === 0) fail(duration, 'modulo by zero');
      return left % right;
    case '^':
      return left ** right;
    case 'min':
      return Math.min(left, right);
    case 'max':
      return Math.max(left, right);
  }
}

function fail({ position }: DurationExpression, what: string): never {
  throw new BadInputError(`${position.start}:${position.end}: ${what}`);
}
