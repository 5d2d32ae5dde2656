import { METRIC_NAME, quote } from '#/model/labels.ts';
import type {
  AggregateExpression,
  BinaryExpression,
  CallExpression,
  Expression,
  PositionRange,
  UnaryExpression,
  ValueType,
  VectorSelector,
} from '../ast.ts';
import { typeOf } from '../ast.ts';
import { PromqlParseError } from './parse-error.ts';

/**
 * Checks what the grammar cannot: types of operands and arguments, modifiers that do not go
 * together, selectors of everything. Order and texts are those of promql/parser/parse.go in
 * Prometheus. Also settles how the operands of a binary operator match, which depends on their
 * types; nobody else has seen the expression yet.
 *
 * @throws PromqlParseError for the first mistake, operands before operators.
 */
export function checkTypes(text: string, expression: Expression): void {
  new Checker(text).check(expression);
}

class Checker {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The type of a right expression. */
  check(expression: Expression): ValueType {
    switch (expression.kind) {
      case 'number':
        return 'scalar';
      case 'string':
        return 'string';
      case 'vector-selector':
        return this.#checkSelector(expression, false);
      case 'matrix-selector':
        this.#checkSelector(expression.selector, false);
        return 'matrix';
      case 'subquery': {
        const inner = this.check(expression.expression);
        if (inner !== 'vector') {
          this.#fail(
            expression.position,
            `subquery is only allowed on instant vector, got ${inner} instead`,
          );
        }
        return 'matrix';
      }
      case 'paren':
        return this.check(expression.expression);
      case 'unary':
        return this.#checkUnary(expression);
      case 'binary':
        return this.#checkBinary(expression);
      case 'aggregate':
        return this.#checkAggregate(expression);
      case 'call':
        return this.#checkCall(expression);
    }
  }

  #checkUnary({ expression, position }: UnaryExpression): ValueType {
    const type = this.check(expression);
    if (type !== 'scalar' && type !== 'vector') {
      this.#fail(
        position,
        `unary expression only allowed on expressions of type scalar or instant vector, got ${quote(documented(type))}`,
      );
    }
    return type;
  }

  #checkAggregate({ operator, expression, parameter }: AggregateExpression): ValueType {
    this.#expect(expression, 'vector', 'aggregation expression');
    if (parameter !== undefined) {
      const wanted = operator === 'count_values' ? 'string' : 'scalar';
      this.#expect(parameter, wanted, 'aggregation parameter');
    }
    return 'vector';
  }

  #expect(expression: Expression, wanted: ValueType, context: string): void {
    const type = this.check(expression);
    if (type === wanted) return;
    this.#fail(
      expression.position,
      `expected type ${documented(wanted)} in ${context}, got ${documented(type)}`,
    );
  }

  #checkBinary(binary: BinaryExpression): ValueType {
    const left = this.check(binary.left);
    const right = this.check(binary.right);
    const areScalars = left === 'scalar' && right === 'scalar';
    const isComparison = comparisons.has(binary.operator);
    if (binary.returnBool && !isComparison) {
      this.#failAtOperator(binary, 'bool modifier can only be used on comparison operators');
    }
    if (isComparison && !binary.returnBool && areScalars) {
      this.#failAtOperator(binary, 'comparisons between scalars must use BOOL modifier');
    }
    this.#checkLabelClash(binary);
    for (const [operand, type] of [
      [binary.left, left],
      [binary.right, right],
    ] as const) {
      if (type === 'scalar' || type === 'vector') continue;
      this.#fail(
        operand.position,
        'binary expression must contain only scalar and instant vector types',
      );
    }
    this.#settleMatching(binary, left === 'vector' && right === 'vector');
    return areScalars ? 'scalar' : 'vector';
  }

  #checkLabelClash(binary: BinaryExpression): void {
    const { on, labels, include } = binary.matching!;
    if (!on) return;
    const clash = labels.find((label) => include.includes(label));
    if (clash !== undefined) {
      this.#failAtOperator(
        binary,
        `label ${quote(clash)} must not occur in ON and GROUP clause at once`,
      );
    }
  }

  #settleMatching(binary: Mutable<BinaryExpression>, areVectors: boolean): void {
    const { operator, position } = binary;
    const { cardinality, labels, fill } = binary.matching!;
    const isSet = setOperators.has(operator);
    const hasFill = fill.left !== undefined || fill.right !== undefined;
    if (!areVectors) {
      if (labels.length > 0) {
        this.#fail(position, 'vector matching only allowed between instant vectors');
      }
      if (hasFill) {
        this.#fail(position, 'filling in missing series only allowed between instant vectors');
      }
      if (isSet) {
        this.#fail(position, `set operator "${operator}" not allowed in binary scalar expression`);
      }
      delete binary.matching;
      return;
    }
    if (!isSet) return;
    if (cardinality !== 'one-to-one') {
      this.#fail(position, `no grouping allowed for "${operator}" operation`);
    }
    if (hasFill) this.#fail(position, 'filling in missing series not allowed for set operators');
    binary.matching = { ...binary.matching!, cardinality: 'many-to-many' };
  }

  #checkCall(call: CallExpression): ValueType {
    const { name, args: wanted, variadic, returns } = call.function;
    this.#checkCount(call);
    if (name === 'info' && call.args.length > 1) this.#checkInfo(call);
    for (const [i, arg] of call.args.entries()) {
      // The labels of info() may match every series: the first argument narrows them.
      const type =
        name === 'info' && i === 1 && arg.kind === 'vector-selector'
          ? this.#checkSelector(arg, true)
          : this.check(arg);
      const expected = wanted[i] ?? (variadic === 0 ? undefined : wanted.at(-1));
      if (expected === undefined || type === expected) continue;
      this.#fail(
        arg.position,
        `expected type ${documented(expected)} in call to function "${name}", got ${documented(type)}`,
      );
    }
    return returns;
  }

  #checkCount({ function: signature, args, position }: CallExpression): void {
    const { name, variadic } = signature;
    const count = signature.args.length;
    const wants = (how: string, wanted: number) =>
      this.#fail(
        position,
        `expected ${how}${wanted} argument(s) in call to "${name}", got ${args.length}`,
      );
    if (variadic === 0) {
      if (args.length !== count) wants('', count);
      return;
    }
    const least = count - 1;
    if (args.length < least) wants('at least ', least);
    const most = least + variadic;
    if (variadic > 0 && args.length > most) wants('at most ', most);
  }

  #checkInfo(call: CallExpression): void {
    const selector = call.args[1]!;
    const type = typeOf(selector);
    if (type !== 'vector') {
      this.#fail(
        call.position,
        `expected type instant vector in call to function "info", got ${documented(type)}`,
      );
    }
    if (selector.kind !== 'vector-selector') {
      this.#fail(selector.position, 'expected label selectors only');
    }
    if (selector.name !== '') {
      this.#fail(selector.position, 'expected label selectors only, got vector selector instead');
    }
  }

  #checkSelector({ name, matchers, position }: VectorSelector, mayMatchAll: boolean): ValueType {
    if (name !== '') {
      // The last one is the name outside the braces.
      const twice = matchers.slice(0, -1).find((matcher) => matcher.name === METRIC_NAME);
      if (twice !== undefined) {
        this.#fail(
          position,
          `metric name must not be set twice: ${quote(name)} or ${quote(twice.value)}`,
        );
      }
    } else if (!mayMatchAll && matchers.every((matcher) => matcher.matches(''))) {
      this.#fail(position, 'vector selector must contain at least one non-empty matcher');
    }
    return 'vector';
  }

  /** Points behind the left operand, where the operator should be. */
  #failAtOperator({ left }: BinaryExpression, detail: string): never {
    const gap = /^[ \t\n\r]*/.exec(this.#text.slice(left.position.end))![0].length;
    const start = left.position.end + gap;
    return this.#fail({ start, end: start }, detail);
  }

  #fail({ start }: PositionRange, detail: string): never {
    throw new PromqlParseError(this.#text, start, detail);
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const comparisons: ReadonlySet<string> = new Set(['==', '!=', '<=', '<', '>=', '>']);
const setOperators: ReadonlySet<string> = new Set(['and', 'or', 'unless']);

/** What users call a type. */
function documented(type: ValueType): string {
  if (type === 'vector') return 'instant vector';
  return type === 'matrix' ? 'range vector' : type;
}
