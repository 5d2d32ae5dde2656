import type { Matcher } from '#/model/matcher.ts';
import type { Expression } from '#/promql/ast.ts';

/** The matchers of every selector of an expression, from left to right. */
export function selectorsOf(expression: Expression): (readonly Matcher[])[] {
  switch (expression.kind) {
    case 'vector-selector':
      return [expression.matchers];
    case 'matrix-selector':
      return [expression.selector.matchers];
    case 'subquery':
    case 'paren':
    case 'unary':
      return selectorsOf(expression.expression);
    case 'binary':
      return [...selectorsOf(expression.left), ...selectorsOf(expression.right)];
    case 'aggregate': {
      const parameter = expression.parameter === undefined ? [] : selectorsOf(expression.parameter);
      return [...parameter, ...selectorsOf(expression.expression)];
    }
    case 'call':
      return expression.args.flatMap(selectorsOf);
    case 'number':
    case 'string':
      return [];
  }
}
