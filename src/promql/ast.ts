import type { Matcher } from '#/model/matcher.ts';

/** Half-open range of UTF-16 positions in the query text. */
export interface PositionRange {
  readonly start: number;
  readonly end: number;
}

export type ValueType = 'none' | 'scalar' | 'vector' | 'matrix' | 'string';

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%' | '^' | 'atan2';
export type ComparisonOperator = '==' | '!=' | '<' | '<=' | '>' | '>=';
/** Trimming operators of native histograms. */
export type TrimOperator = '</' | '>/';
export type SetOperator = 'and' | 'or' | 'unless';
export type BinaryOperator = ArithmeticOperator | ComparisonOperator | TrimOperator | SetOperator;

export const aggregationNames = [
  'sum',
  'avg',
  'count',
  'min',
  'max',
  'group',
  'stddev',
  'stdvar',
  'topk',
  'bottomk',
  'count_values',
  'quantile',
  'limitk',
  'limit_ratio',
] as const;
export type AggregationName = (typeof aggregationNames)[number];

/**
 * A PromQL expression as it was written. Durations are milliseconds. The parser fills in `type`
 * checks and positions; nothing changes an expression afterwards. Positions cover the whole node.
 */
export type Expression =
  | NumberLiteral
  | StringLiteral
  | VectorSelector
  | MatrixSelector
  | SubqueryExpression
  | ParenExpression
  | UnaryExpression
  | BinaryExpression
  | AggregateExpression
  | CallExpression;

interface Node {
  readonly position: PositionRange;
}

export interface NumberLiteral extends Node {
  readonly kind: 'number';
  readonly value: number;
  /** Written as a duration (`5m`), in seconds; only the printer cares. */
  readonly isDuration: boolean;
}

export interface StringLiteral extends Node {
  readonly kind: 'string';
  readonly value: string;
}

/** The `@` modifier: a fixed time in milliseconds, or an end of the query's range. */
export type AtModifier =
  | { readonly kind: 'time'; readonly timeMs: number }
  | { readonly kind: 'start' | 'end' };

/**
 * A duration that may depend on the query (`step() * 2`, behind the feature flag
 * `promql-duration-expr`). Plain durations are `literal`s.
 */
export type DurationExpression =
  | (Node & {
      readonly kind: 'literal';
      /** Whole milliseconds: what the duration means where it stands alone. */
      readonly ms: number;
      /** As written, for arithmetic, which is done in seconds, and for the printer. */
      readonly seconds: number;
      /** Written with units (`5m`), not as a number of seconds. */
      readonly isDuration: boolean;
    })
  | (Node & { readonly kind: 'step' | 'range'; readonly wrapped: boolean })
  | (Node & {
      readonly kind: 'unary';
      readonly operator: '+' | '-';
      readonly operand: DurationExpression;
      readonly wrapped: boolean;
    })
  | (Node & {
      readonly kind: 'binary';
      readonly operator: '+' | '-' | '*' | '/' | '%' | '^' | 'min' | 'max';
      readonly left: DurationExpression;
      readonly right: DurationExpression;
      readonly wrapped: boolean;
    });

export interface VectorSelector extends Node {
  readonly kind: 'vector-selector';
  /** The metric name as written before the braces, or `''`. It is among `matchers` too. */
  readonly name: string;
  readonly matchers: readonly Matcher[];
  readonly offset?: DurationExpression;
  readonly at?: AtModifier;
  readonly anchored: boolean;
  readonly smoothed: boolean;
}

export interface MatrixSelector extends Node {
  readonly kind: 'matrix-selector';
  readonly selector: VectorSelector;
  readonly range: DurationExpression;
}

export interface SubqueryExpression extends Node {
  readonly kind: 'subquery';
  readonly expression: Expression;
  readonly range: DurationExpression;
  /** Absent: the engine's default evaluation interval. */
  readonly step?: DurationExpression;
  readonly offset?: DurationExpression;
  readonly at?: AtModifier;
}

export interface ParenExpression extends Node {
  readonly kind: 'paren';
  readonly expression: Expression;
}

export interface UnaryExpression extends Node {
  readonly kind: 'unary';
  readonly operator: '+' | '-';
  readonly expression: Expression;
}

export interface VectorMatching {
  readonly cardinality: 'one-to-one' | 'many-to-one' | 'one-to-many' | 'many-to-many';
  /** `on(…)` when true, `ignoring(…)` (the default, with no labels) when false. */
  readonly on: boolean;
  readonly labels: readonly string[];
  /** Labels of `group_left(…)` or `group_right(…)`. */
  readonly include: readonly string[];
  /** `fill`, `fill_left`, `fill_right`: values for series without a partner. */
  readonly fill: { readonly left?: number; readonly right?: number };
}

export interface BinaryExpression extends Node {
  readonly kind: 'binary';
  readonly operator: BinaryOperator;
  readonly left: Expression;
  readonly right: Expression;
  readonly returnBool: boolean;
  /** Present exactly when both sides are vectors. */
  readonly matching?: VectorMatching;
}

export interface AggregateExpression extends Node {
  readonly kind: 'aggregate';
  readonly operator: AggregationName;
  readonly expression: Expression;
  readonly parameter?: Expression;
  /** `without (…)` when true, `by (…)` or nothing when false. */
  readonly without: boolean;
  readonly grouping: readonly string[];
}

export interface CallExpression extends Node {
  readonly kind: 'call';
  readonly function: FunctionSignature;
  readonly args: readonly Expression[];
}

/** What the parser needs to know of a function; how it computes is in functions/. */
export interface FunctionSignature {
  readonly name: string;
  /** Types of the arguments. With `variadic` ≠ 0 the last one may be left out or repeated. */
  readonly args: readonly Exclude<ValueType, 'none'>[];
  /** 0: exactly `args`. n > 0: up to n of the last are optional. −1: the last repeats without end. */
  readonly variadic: number;
  readonly returns: 'scalar' | 'vector' | 'string';
  /** Only behind `--enable-feature=promql-experimental-functions`. */
  readonly experimental: boolean;
}

/** The type an expression evaluates to. */
export function typeOf(expression: Expression): ValueType {
  switch (expression.kind) {
    case 'number':
      return 'scalar';
    case 'string':
      return 'string';
    case 'vector-selector':
    case 'aggregate':
      return 'vector';
    case 'matrix-selector':
    case 'subquery':
      return 'matrix';
    case 'paren':
    case 'unary':
      return typeOf(expression.expression);
    case 'call':
      return expression.function.returns;
    case 'binary': {
      const scalars = typeOf(expression.left) === 'scalar' && typeOf(expression.right) === 'scalar';
      return scalars ? 'scalar' : 'vector';
    }
  }
}
