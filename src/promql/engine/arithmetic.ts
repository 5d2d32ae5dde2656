import type { BinaryOperator } from '../ast.ts';

export type FloatOperation = (left: number, right: number) => number;
export type FloatComparison = (left: number, right: number) => boolean;

const arithmetic: Partial<Record<BinaryOperator, FloatOperation>> = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => left / right,
  '%': (left, right) => left % right,
  '^': power,
  atan2: (left, right) => Math.atan2(left, right),
};

const comparisons: Partial<Record<BinaryOperator, FloatComparison>> = {
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
  '<': (left, right) => left < right,
  '<=': (left, right) => left <= right,
  '>': (left, right) => left > right,
  '>=': (left, right) => left >= right,
};

/** `+ - * / % ^ atan2`; they change what a metric means, so its name goes. */
export function arithmeticOperation(operator: BinaryOperator): FloatOperation | undefined {
  return arithmetic[operator];
}

export function comparisonOperation(operator: BinaryOperator): FloatComparison | undefined {
  return comparisons[operator];
}

/** Between two scalars a comparison gives 1 or 0. */
export function scalarOperation(operator: BinaryOperator): FloatOperation {
  const compare = comparisons[operator];
  if (compare !== undefined) return (left, right) => (compare(left, right) ? 1 : 0);
  const operation = arithmetic[operator];
  if (operation === undefined)
    throw new Error(`operator "${operator}" not allowed for Scalar operations`);
  return operation;
}

/** IEEE pow, which JavaScript leaves in two places: `1 ^ NaN` and `-1 ^ ±Inf` are 1. */
function power(base: number, exponent: number): number {
  if (base === 1 || (base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY)) return 1;
  return base ** exponent;
}
