import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { METRIC_NAME } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { aggregationNames } from '../ast.ts';
import type {
  ArithmeticOperator,
  AtModifier,
  BinaryExpression,
  ComparisonOperator,
  DurationExpression,
  Expression,
  MatrixSelector,
  VectorMatching,
  VectorSelector,
} from '../ast.ts';
import { signatures } from '../signatures.ts';

/**
 * Well-typed expressions for property tests, as the parser would build them from their printed
 * form: operands stand in parentheses where precedence asks for it. Positions are meaningless.
 */
export const arbitraryQuery: Arbitrary<Expression> = fc.letrec<Kinds>((tie) => ({
  scalar: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'query' },
    number(),
    tie('scalar').map(paren),
    fc
      .tuple(tie('scalar'), arithmetic(), tie('scalar'))
      .map(([left, operator, right]) => binary({ left, operator, right, returnBool: false })),
    tie('vector').map((arg) => call('scalar', [arg])),
    fc.constantFrom('time', 'pi', 'start', 'step').map((name) => call(name, [])),
  ),
  vector: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'query' },
    vectorSelector(),
    tie('vector').map(paren),
    fc
      .tuple(fc.constantFrom('+' as const, '-' as const), tie('vector'))
      .map(([operator, vector]): Expression => {
        const expression = operand(vector);
        return { kind: 'unary', operator, expression, position };
      }),
    joined(tie),
    withScalar(tie),
    aggregate(tie),
    fc
      .tuple(fc.constantFrom('rate', 'absent_over_time', 'changes'), tie('matrix'))
      .map(([name, matrix]) => call(name, [matrix])),
    fc.tuple(tie('vector'), tie('scalar')).map((args) => call('round', args)),
    fc.tuple(tie('vector'), string(), string()).map((args) => call('sort_by_label', args)),
  ),
  matrix: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'query' },
    matrixSelector(),
    tie('matrix').map(paren),
    subquery(tie),
  ),
})).vector;

type Kinds = { scalar: Expression; vector: Expression; matrix: Expression };
type Tie = <K extends keyof Kinds>(kind: K) => Arbitrary<Kinds[K]>;

const position = { start: 0, end: 0 };

function number(): Arbitrary<Expression> {
  return fc.oneof(
    fc
      .oneof(fc.double({ noNaN: true }), fc.integer())
      .map((value): Expression => ({ kind: 'number', value, isDuration: false, position })),
    fc
      .integer({ min: 1, max: 1e6 })
      .map((value): Expression => ({ kind: 'number', value, isDuration: true, position })),
  );
}

function text(): Arbitrary<string> {
  return fc.string({ unit: 'binary', maxLength: 8 }).filter((value) => !value.includes('\ufffd'));
}

function string(): Arbitrary<Expression> {
  return text().map((value) => ({ kind: 'string', value, position }));
}

function paren(expression: Expression): Expression {
  return { kind: 'paren', expression, position };
}

/** What needs no parentheses next to an operator, or has them. */
function operand(expression: Expression): Expression {
  // Upstream prints Inf with a sign, which binds less than a power.
  const isSigned =
    expression.kind === 'number' && (!(expression.value > 0) || expression.value === Infinity);
  const isLoose = expression.kind === 'binary' || expression.kind === 'unary';
  // An operator behind `offset (…)` would belong to the offset.
  const isOpen = expression.kind === 'vector-selector' && expression.offset !== undefined;
  return isLoose || isSigned || isOpen ? paren(expression) : expression;
}

function call(name: string, args: readonly Expression[]): Expression {
  return { kind: 'call', function: signatures.get(name)!, args, position };
}

function arithmetic(): Arbitrary<ArithmeticOperator> {
  return fc.constantFrom('+', '-', '*', '/', '%', '^', 'atan2');
}

function comparison(): Arbitrary<ComparisonOperator> {
  return fc.constantFrom('==', '!=', '<', '<=', '>', '>=');
}

function binary(parts: Omit<BinaryExpression, 'kind' | 'position'>): Expression {
  const { left, right } = parts;
  return { kind: 'binary', ...parts, left: operand(left), right: operand(right), position };
}

function withScalar(tie: Tie): Arbitrary<Expression> {
  return fc
    .tuple(
      tie('vector'),
      fc.oneof(
        fc.record({ operator: arithmetic(), returnBool: fc.constant(false) }),
        fc.record({ operator: comparison(), returnBool: fc.boolean() }),
      ),
      tie('scalar'),
      fc.boolean(),
    )
    .map(([vector, operation, scalar, vectorFirst]) => {
      const [left, right] = vectorFirst ? [vector, scalar] : [scalar, vector];
      return binary({ ...operation, left, right });
    });
}

function joined(tie: Tie): Arbitrary<Expression> {
  const operations = fc.oneof(
    fc.record({
      operator: fc.oneof(arithmetic(), comparison(), fc.constantFrom('</', '>/')),
      returnBool: fc.constant(false),
      matching: labelMatching(),
    }),
    fc.record({
      operator: fc.constantFrom('and', 'or', 'unless'),
      returnBool: fc.constant(false),
      matching: fc.record({
        cardinality: fc.constant('many-to-many' as const),
        on: fc.constant(true),
        labels: labelNames(),
        include: fc.constant([]),
        fill: fc.constant({}),
      }),
    }),
  );
  return fc
    .tuple(tie('vector'), operations, tie('vector'))
    .map(([left, operation, right]) => binary({ ...operation, left, right }));
}

function labelMatching(): Arbitrary<VectorMatching> {
  // Upstream prints fills of 0 and -0 as one.
  const fill = fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0));
  return fc
    .record({
      cardinality: fc.constantFrom('one-to-one', 'many-to-one', 'one-to-many'),
      on: fc.boolean(),
      labels: labelNames(),
      include: labelNames(),
      fill: fc.record({ left: fill, right: fill }, { requiredKeys: [] }),
    })
    .map((matching) => ({
      ...matching,
      include:
        matching.cardinality === 'one-to-one'
          ? []
          : matching.include.filter((name) => !matching.labels.includes(name)),
    }));
}

function labelNames(): Arbitrary<string[]> {
  return fc.uniqueArray(fc.constantFrom('a', 'job', 'le', 'by', 'a b', 'größe', '1x'), {
    maxLength: 3,
  });
}

function aggregate(tie: Tie): Arbitrary<Expression> {
  return fc
    .tuple(
      fc.constantFrom(...aggregationNames),
      fc.record({ without: fc.boolean(), grouping: labelNames() }),
      tie('vector'),
      tie('scalar'),
      string(),
    )
    .map(([operator, grouping, expression, scalar, label]): Expression => {
      const plain = { kind: 'aggregate', operator, ...grouping, expression, position } as const;
      if (operator === 'count_values') return { ...plain, parameter: label };
      const takesScalar = ['topk', 'bottomk', 'quantile', 'limitk', 'limit_ratio'];
      return takesScalar.includes(operator) ? { ...plain, parameter: scalar } : plain;
    });
}

function vectorSelector(): Arbitrary<VectorSelector> {
  return fc
    .record(
      {
        metric: fc.constantFrom('up', 'sum', 'a:b', 'offset', '_x', ''),
        others: fc.array(matcher(), { maxLength: 3 }),
        extension: fc.constantFrom('anchored', 'smoothed', undefined),
        offset: offset(),
        at: at(),
      },
      { requiredKeys: ['metric', 'others', 'extension'] },
    )
    .map(({ metric, others, extension, ...times }) => {
      const known =
        metric === '' ? newMatcher('=', 'x', 'y') : newMatcher('=', METRIC_NAME, metric);
      return {
        kind: 'vector-selector',
        name: metric,
        matchers: [...others, known],
        ...times,
        anchored: extension === 'anchored',
        smoothed: extension === 'smoothed',
        position,
      };
    });
}

function matcher(): Arbitrary<Matcher> {
  return fc.oneof(
    fc
      .tuple(fc.constantFrom('=' as const, '!=' as const), fc.constantFrom('a', 'a b'), text())
      .map((parts) => newMatcher(...parts)),
    fc
      .tuple(
        fc.constantFrom('=~' as const, '!~' as const),
        fc.constantFrom('job', '1x', 'ü'),
        fc.constantFrom('a.*', 'x|y', '[^"]+', ''),
      )
      .map((parts) => newMatcher(...parts)),
  );
}

function at(): Arbitrary<AtModifier> {
  return fc.oneof(
    fc.constantFrom<AtModifier>({ kind: 'start' }, { kind: 'end' }),
    fc.integer().map((timeMs): AtModifier => ({ kind: 'time', timeMs })),
  );
}

function matrixSelector(): Arbitrary<MatrixSelector> {
  return fc
    .tuple(vectorSelector(), period())
    .map(([selector, range]) => ({ kind: 'matrix-selector', selector, range, position }));
}

function subquery(tie: Tie): Arbitrary<Expression> {
  return fc
    .record(
      { vector: tie('vector'), range: wholePeriod(), step: period(), offset: offset(), at: at() },
      { requiredKeys: ['vector', 'range'] },
    )
    .map(({ vector, ...parts }): Expression => {
      const isTight =
        vector.kind === 'call' || vector.kind === 'aggregate' || vector.kind === 'paren';
      const expression = isTight ? vector : paren(vector);
      return { kind: 'subquery', expression, ...parts, position };
    });
}

type Literal = Extract<DurationExpression, { kind: 'literal' }>;

function literal(ms: number): Literal {
  return { kind: 'literal', ms, seconds: ms / 1000, isDuration: true, position };
}

function period(): Arbitrary<DurationExpression> {
  return fc.oneof({ weight: 3, arbitrary: wholePeriod() }, durationOperation());
}

/** Upstream's lexer wants a number in front of the colon of a subquery. */
function wholePeriod(): Arbitrary<DurationExpression> {
  return fc.integer({ min: 1, max: 100_000 }).map((seconds) => literal(seconds * 1000));
}

function offset(): Arbitrary<DurationExpression> {
  return fc.oneof(
    fc
      .tuple(fc.constantFrom(1, -1), fc.integer({ min: 1, max: 100_000 }))
      .map(([sign, seconds]) => literal(sign * seconds * 1000)),
    durationOperation().filter(({ kind }) => kind === 'step' || kind === 'range'),
    durationOperation().map((operation) => ({ ...operation, wrapped: true })),
  );
}

function durationOperation(): Arbitrary<DurationExpression> {
  return fc.letrec<{ operand: DurationExpression; operation: DurationExpression }>((tie) => ({
    operand: fc.oneof(
      { maxDepth: 2 },
      fc.integer({ min: 1, max: 100_000 }).map((seconds) => literal(seconds * 1000)),
      tie('operation').map((operation) => ({ ...operation, wrapped: true })),
    ),
    operation: fc.oneof(
      { maxDepth: 2 },
      fc
        .constantFrom('step' as const, 'range' as const)
        .map((kind): DurationExpression => ({ kind, wrapped: false, position })),
      fc
        .tuple(
          tie('operand'),
          fc.constantFrom('+', '-', '*', '/', '%', '^', 'min', 'max'),
          tie('operand'),
        )
        .map(([left, operator, right]): DurationExpression => ({
          kind: 'binary',
          operator,
          left,
          right,
          wrapped: false,
          position,
        })),
      tie('operation').map((operation): DurationExpression => ({
        kind: 'unary',
        operator: '-',
        operand: { ...operation, wrapped: true } as DurationExpression,
        wrapped: false,
        position,
      })),
    ),
  })).operation;
}
