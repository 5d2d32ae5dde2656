import { formatG, formatPlain } from '#/lib/float-text.ts';
import { compareUtf8, utf8Length } from '#/lib/utf8.ts';
import { isLegacyLabelName, METRIC_NAME, quote } from '#/model/labels.ts';
import { printMatcher } from '#/model/matcher.ts';
import { formatDuration } from '#/model/time.ts';
import type {
  AggregateExpression,
  AtModifier,
  BinaryExpression,
  DurationExpression,
  Expression,
  MatrixSelector,
  NumberLiteral,
  SubqueryExpression,
  VectorMatching,
  VectorSelector,
} from './ast.ts';

/**
 * An expression on one line, in the form Prometheus gives it; parsing that gives an equal
 * expression. Source: promql/parser/printer.go in Prometheus.
 */
export function printExpression(expression: Expression): string {
  switch (expression.kind) {
    case 'number':
      return printNumber(expression);
    case 'string':
      return quote(expression.value);
    case 'vector-selector':
      return printVectorSelector(expression);
    case 'matrix-selector':
      return printMatrixSelector(expression);
    case 'subquery':
      return printExpression(expression.expression) + subquerySuffix(expression);
    case 'paren':
      return `(${printExpression(expression.expression)})`;
    case 'unary':
      return expression.operator + printExpression(expression.expression);
    case 'binary':
      return `${printExpression(expression.left)} ${operatorOf(expression)} ${printExpression(expression.right)}`;
    case 'aggregate':
      return `${aggregationOf(expression)}(${operandsOf(expression).map(printExpression).join(', ')})`;
    case 'call':
      return `${expression.function.name}(${expression.args.map(printExpression).join(', ')})`;
  }
}

const MAX_LINE_BYTES = 100;
const INDENT = '  ';

/**
 * An expression for people to read: whatever would be longer than 100 bytes takes several lines.
 * Source: promql/parser/prettier.go in Prometheus.
 */
export function formatExpression(expression: Expression): string {
  return format(expression, 0);
}

function format(expression: Expression, level: number): string {
  const indent = INDENT.repeat(level);
  const line = printExpression(expression);
  const isLong = utf8Length(line) > MAX_LINE_BYTES;
  switch (expression.kind) {
    case 'unary':
      return indent + expression.operator + format(expression.expression, level).trim();
    case 'subquery':
      // Upstream leaves a short subquery unindented.
      return isLong ? format(expression.expression, level) + subquerySuffix(expression) : line;
    case 'number':
    case 'string':
    case 'vector-selector':
    case 'matrix-selector':
      return indent + line;
    case 'paren':
      return isLong
        ? `${indent}(\n${format(expression.expression, level + 1)}\n${indent})`
        : indent + line;
    case 'binary': {
      if (!isLong) return indent + line;
      const left = format(expression.left, level + 1);
      const right = format(expression.right, level + 1);
      return `${left}\n${indent}${operatorOf(expression)}\n${right}`;
    }
    case 'aggregate':
      return isLong
        ? formatCall(aggregationOf(expression), operandsOf(expression), level)
        : indent + line;
    case 'call':
      return isLong ? formatCall(expression.function.name, expression.args, level) : indent + line;
  }
}

function formatCall(head: string, args: readonly Expression[], level: number): string {
  const indent = INDENT.repeat(level);
  const lines = args.map((arg) => format(arg, level + 1));
  return `${indent}${head}(\n${lines.join(',\n')}\n${indent})`;
}

function printNumber({ value, isDuration }: Pick<NumberLiteral, 'value' | 'isDuration'>): string {
  if (!isDuration) return formatPlain(value);
  // Upstream cuts what is no whole nanosecond: 4.1 s print as 4s99ms.
  return formatDuration(Math.trunc(Math.trunc(value * 1e9) / 1e6));
}

function printVectorSelector(selector: VectorSelector): string {
  const { name, offset, at } = selector;
  const matchers = selector.matchers
    .filter((m) => m.name !== METRIC_NAME || m.type !== '=' || m.value !== name || name === '')
    .map(printMatcher)
    .sort(compareUtf8);
  const braces = matchers.length > 0 ? `{${matchers.join(',')}}` : '';
  return name + braces + printAt(at) + extensionOf(selector) + printOffset(offset);
}

function printMatrixSelector({ selector, range }: MatrixSelector): string {
  const { name, matchers, kind, position, at, offset } = selector;
  const bare = { name, matchers, kind, position, anchored: false, smoothed: false };
  const times = extensionOf(selector) + printAt(at) + printOffset(offset);
  return `${printVectorSelector(bare)}[${printPeriod(range)}]${times}`;
}

function subquerySuffix({ range, step, at, offset }: SubqueryExpression): string {
  const stepText = step === undefined ? '' : printPeriod(step);
  return `[${printPeriod(range)}:${stepText}]${printAt(at)}${printOffset(offset)}`;
}

function extensionOf({ anchored, smoothed }: VectorSelector): string {
  if (anchored) return ' anchored';
  return smoothed ? ' smoothed' : '';
}

function printAt(at: AtModifier | undefined): string {
  if (at === undefined) return '';
  return at.kind === 'time' ? ` @ ${(at.timeMs / 1000).toFixed(3)}` : ` @ ${at.kind}()`;
}

function printOffset(offset: DurationExpression | undefined): string {
  return offset === undefined ? '' : ` offset ${printPeriod(offset)}`;
}

/** A duration where nothing but a duration can stand: its number is written with units. */
function printPeriod(duration: DurationExpression): string {
  return duration.kind === 'literal' ? formatDuration(duration.ms) : printDuration(duration);
}

function printDuration(duration: DurationExpression): string {
  if (duration.kind === 'literal') {
    return printNumber({ value: duration.seconds, isDuration: duration.isDuration });
  }
  const text = printDurationOperation(duration);
  return duration.wrapped ? `(${text})` : text;
}

function printDurationOperation(
  duration: Exclude<DurationExpression, { kind: 'literal' }>,
): string {
  switch (duration.kind) {
    case 'step':
    case 'range':
      return `${duration.kind}()`;
    case 'unary':
      return (duration.operator === '-' ? '-' : '') + printDuration(duration.operand);
    case 'binary': {
      const { operator } = duration;
      const left = printDuration(duration.left);
      const right = printDuration(duration.right);
      const isFunction = operator === 'min' || operator === 'max';
      return isFunction ? `${operator}_of(${left}, ${right})` : `${left} ${operator} ${right}`;
    }
  }
}

function operandsOf({ parameter, expression }: AggregateExpression): readonly Expression[] {
  return parameter === undefined ? [expression] : [parameter, expression];
}

function aggregationOf({ operator, without, grouping }: AggregateExpression): string {
  if (without) return `${operator} without (${printLabels(grouping)}) `;
  return grouping.length > 0 ? `${operator} by (${printLabels(grouping)}) ` : operator;
}

function operatorOf({ operator, returnBool, matching }: BinaryExpression): string {
  const bool = returnBool ? ' bool' : '';
  return operator + bool + (matching === undefined ? '' : printMatching(matching));
}

function printMatching({ cardinality, on, labels, include, fill }: VectorMatching): string {
  const isGroup = cardinality === 'many-to-one' || cardinality === 'one-to-many';
  let text = '';
  if (labels.length > 0 || on || isGroup) {
    text += ` ${on ? 'on' : 'ignoring'} (${printLabels(labels)})`;
  }
  if (isGroup) {
    const side = cardinality === 'many-to-one' ? 'left' : 'right';
    text += ` group_${side} (${printLabels(include)})`;
  }
  return text + printFill(fill);
}

function printFill({ left, right }: VectorMatching['fill']): string {
  if (left !== undefined && left === right) return ` fill (${formatG(left)})`;
  const parts = [
    left === undefined ? '' : ` fill_left (${formatG(left)})`,
    right === undefined ? '' : ` fill_right (${formatG(right)})`,
  ];
  return parts.join('');
}

function printLabels(names: readonly string[]): string {
  return names.map((name) => (isLegacyLabelName(name) ? name : quote(name))).join(', ');
}
