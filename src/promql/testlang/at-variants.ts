import type { AtModifier, Expression } from '../ast.ts';
import { parseExpression, PromqlParseError } from '../parser.ts';
import { printExpression } from '../printer.ts';
import { testEngineOptions } from './features.ts';

/** Their result depends on the evaluation time even over arguments that do not. */
const unsafe: ReadonlySet<string> = new Set(
  (
    'days_in_month day_of_month day_of_week day_of_year end hour minute month year ' +
    'predict_linear range start step time timestamp'
  ).split(' '),
);

/**
 * The query with every selector pinned to `timeMs` by `@`, to be evaluated at several other times
 * with the same result. None when it has functions for which that does not hold, or cannot be read.
 */
export function atVariants(text: string, timeMs: number): { text: string; timeMs: number }[] {
  const expression = parsed(text);
  const pinned = expression && pin(expression, { kind: 'time', timeMs });
  if (pinned === undefined) return [];
  const times =
    timeMs === 0
      ? [-1000, 0, 1000]
      : [-10 * timeMs, 0, Math.trunc(timeMs / 5), timeMs, 10 * timeMs];
  const pinnedText = printExpression(pinned);
  return times.map((time) => ({ text: pinnedText, timeMs: time }));
}

function parsed(text: string): Expression | undefined {
  try {
    return parseExpression(text, testEngineOptions.features);
  } catch (thrown) {
    if (thrown instanceof PromqlParseError) return undefined;
    throw thrown;
  }
}

/** Subqueries are pinned as a whole. A fixed time stays; `undefined` stands for an unsafe function. */
function pin(expression: Expression, at: AtModifier): Expression | undefined {
  switch (expression.kind) {
    case 'number':
    case 'string':
      return expression;
    case 'vector-selector':
    case 'subquery':
      return expression.at?.kind === 'time' ? expression : { ...expression, at };
    case 'matrix-selector': {
      const { selector } = expression;
      if (selector.at?.kind === 'time') return expression;
      return { ...expression, selector: { ...selector, at } };
    }
    case 'paren':
    case 'unary': {
      const inner = pin(expression.expression, at);
      return inner && { ...expression, expression: inner };
    }
    case 'binary': {
      const left = pin(expression.left, at);
      const right = pin(expression.right, at);
      return left && right && { ...expression, left, right };
    }
    case 'aggregate': {
      const inner = pin(expression.expression, at);
      if (inner === undefined) return undefined;
      if (expression.parameter === undefined) return { ...expression, expression: inner };
      const parameter = pin(expression.parameter, at);
      return parameter && { ...expression, expression: inner, parameter };
    }
    case 'call': {
      if (unsafe.has(expression.function.name)) return undefined;
      const args = expression.args.map((arg) => pin(arg, at));
      const isSafe = args.every((arg) => arg !== undefined);
      return isSafe ? { ...expression, args } : undefined;
    }
  }
}
