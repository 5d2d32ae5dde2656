import type { Expression } from '../ast.ts';

/** Functions whose result depends on the step even when their arguments do not. */
const stepFunctions = new Set([
  'days_in_month',
  'day_of_month',
  'day_of_week',
  'day_of_year',
  'hour',
  'minute',
  'month',
  'year',
  'predict_linear',
  'time',
  'timestamp',
]);

export interface Invariance {
  /** The value is the same at every step. */
  readonly invariant: boolean;
  /** It pays to evaluate it once; literals and range vectors are left as they are. */
  readonly wrap: boolean;
}

const varies: Invariance = { invariant: false, wrap: false };
const invariant: Invariance = { invariant: true, wrap: true };

/**
 * Whether an expression has one value for all steps because every selector in it is fixed by `@`.
 * Rules: preprocessExprHelper of promql/engine.go in Prometheus. As there, an aggregation's
 * parameter does not count: `quantile(scalar(q), x @ 0)` takes its parameter from the first step.
 */
export function invarianceOf(expression: Expression): Invariance {
  switch (expression.kind) {
    case 'number':
    case 'string':
      return { invariant: true, wrap: false };
    case 'vector-selector':
      return expression.at === undefined ? varies : invariant;
    case 'matrix-selector':
      return { invariant: expression.selector.at !== undefined, wrap: false };
    case 'subquery':
      return { invariant: expression.at !== undefined, wrap: false };
    case 'paren':
    case 'unary':
    case 'aggregate':
      return invarianceOf(expression.expression);
    case 'binary': {
      const left = invarianceOf(expression.left);
      const right = invarianceOf(expression.right);
      return left.invariant && right.invariant ? invariant : varies;
    }
    case 'call':
      return callInvariance(expression.function.name, expression.args);
  }
}

function callInvariance(name: string, args: readonly Expression[]): Invariance {
  // These stand for numbers, which are known before evaluation.
  if (isQueryConstant(name)) return { invariant: true, wrap: false };
  const fixed = args.every((arg) => invarianceOf(arg).invariant);
  if (!fixed) return varies;
  if (!stepFunctions.has(name)) return invariant;
  const ofSelector = args.every((arg) => unwrapParens(arg).kind === 'vector-selector');
  return name === 'timestamp' && ofSelector ? invariant : varies;
}

/** `start()`, `end()`, `range()` and `step()`. */
export function isQueryConstant(name: string): boolean {
  return name === 'start' || name === 'end' || name === 'range' || name === 'step';
}

export function unwrapParens(expression: Expression): Expression {
  return expression.kind === 'paren' ? unwrapParens(expression.expression) : expression;
}
