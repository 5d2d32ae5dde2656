import { formatPlain } from '#/lib/float-text.ts';
import type { Matcher } from '#/model/matcher.ts';
import type {
  AtModifier,
  BinaryExpression,
  DurationExpression,
  Expression,
  VectorSelector,
} from '#/promql/ast.ts';

/**
 * An expression as `/api/v1/parse_query` shows it: what Prometheus's own UI draws its tree view from.
 * Every member is there, `null` where there is nothing. Source: web/api/v1/translate_ast.go in Prometheus.
 */
export function expressionJson(expression: Expression): unknown {
  switch (expression.kind) {
    case 'number':
      return { type: 'numberLiteral', val: formatPlain(expression.value) };
    case 'string':
      return { type: 'stringLiteral', val: expression.value };
    case 'vector-selector':
      return { type: 'vectorSelector', ...selectorJson(expression) };
    case 'matrix-selector': {
      const range = periodJson('range', expression.range);
      return { type: 'matrixSelector', ...selectorJson(expression.selector), ...range };
    }
    case 'subquery':
      return {
        type: 'subquery',
        expr: expressionJson(expression.expression),
        ...periodJson('range', expression.range),
        ...periodJson('step', expression.step),
        ...periodJson('offset', expression.offset),
        ...atJson(expression.at),
      };
    case 'paren':
      return { type: 'parenExpr', expr: expressionJson(expression.expression) };
    case 'unary': {
      const { operator, expression: operand } = expression;
      return { type: 'unaryExpr', op: operator, expr: expressionJson(operand) };
    }
    case 'binary': {
      const { operator, left, right, returnBool, matching } = expression;
      return {
        type: 'binaryExpr',
        op: operator,
        lhs: expressionJson(left),
        rhs: expressionJson(right),
        matching: matching === undefined ? null : matchingJson(matching),
        bool: returnBool,
      };
    }
    case 'aggregate': {
      const { operator, expression: operand, parameter, grouping, without } = expression;
      return {
        type: 'aggregation',
        op: operator,
        expr: expressionJson(operand),
        param: parameter === undefined ? null : expressionJson(parameter),
        grouping,
        without,
      };
    }
    case 'call': {
      const { name, args, variadic, returns } = expression.function;
      return {
        type: 'call',
        func: { name, argTypes: args, variadic, returnType: returns },
        args: expression.args.map(expressionJson),
      };
    }
  }
}

function selectorJson({ name, matchers, offset, at, anchored, smoothed }: VectorSelector) {
  return {
    name,
    matchers: matchers.map(matcherJson),
    ...periodJson('offset', offset),
    ...atJson(at),
    anchored,
    smoothed,
  };
}

function matcherJson({ name, value, type }: Matcher) {
  return { name, value, type };
}

function matchingJson(matching: NonNullable<BinaryExpression['matching']>) {
  const { cardinality, labels, on, include, fill } = matching;
  const fillValues = { lhs: fill.left ?? null, rhs: fill.right ?? null };
  return { card: cardinality, labels, on, include, fillValues };
}

function atJson(at: AtModifier | undefined) {
  return {
    timestamp: at?.kind === 'time' ? at.timeMs : null,
    startOrEnd: at === undefined || at.kind === 'time' ? null : at.kind,
  };
}

/** Milliseconds under `name` when they are known, else the arithmetic under `nameExpr`. */
function periodJson(name: 'range' | 'step' | 'offset', period: DurationExpression | undefined) {
  if (period === undefined) return { [name]: 0, [`${name}Expr`]: null };
  if (period.kind === 'literal') return { [name]: period.ms, [`${name}Expr`]: null };
  return { [name]: 0, [`${name}Expr`]: durationJson(period) };
}

function durationJson(duration: DurationExpression): unknown {
  switch (duration.kind) {
    case 'literal': {
      const { seconds, isDuration } = duration;
      return { type: 'numberLiteral', val: formatPlain(seconds), duration: isDuration };
    }
    case 'step':
    case 'range':
      return operationJson(duration.kind, null, null, duration.wrapped);
    case 'unary': {
      const { operator, operand, wrapped } = duration;
      return operationJson(operator, null, durationJson(operand), wrapped);
    }
    case 'binary': {
      const { operator, left, right, wrapped } = duration;
      const op = operator === 'min' || operator === 'max' ? `${operator}_of` : operator;
      return operationJson(op, durationJson(left), durationJson(right), wrapped);
    }
  }
}

function operationJson(op: string, lhs: unknown, rhs: unknown, wrapped: boolean) {
  return { type: 'durationExpr', op, lhs, rhs, wrapped };
}
