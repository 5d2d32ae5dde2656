import type {
  AggregateExpression,
  AtModifier,
  BinaryExpression,
  CallExpression,
  Expression,
  MatrixSelector,
  PositionRange,
  SubqueryExpression,
  VectorSelector,
} from '../ast.ts';
import { EvaluationError } from '../evaluation-error.ts';
import { rangeFunctions } from '../functions.ts';
import { resolveDuration } from './durations.ts';
import type { InfoNode, PlanNode, RangeSource, SelectorNode, TimeShift } from './nodes.ts';
import type { Scope } from './scope.ts';
import { requestOf, subqueryScope } from './scope.ts';
import { invarianceOf, isQueryConstant, unwrapParens } from './step-invariant.ts';

/** The plain plan of an expression: nothing optimised, one node for each part that computes. */
export function buildPlan(expression: Expression, scope: Scope): PlanNode {
  return wrapped(expression, scope);
}

/** The node of an expression, evaluated once if it is the same at every step. */
function wrapped(expression: Expression, scope: Scope): PlanNode {
  const { grid } = scope;
  if (grid.steps <= 1 || !invarianceOf(expression).wrap) return build(expression, scope);
  const once = build(expression, { ...scope, grid: { ...grid, steps: 1, endMs: grid.startMs } });
  return { kind: 'step-invariant', expression: once, position: expression.position, grid };
}

function build(expression: Expression, scope: Scope): PlanNode {
  const { position } = expression;
  const { grid } = scope;
  const below: Scope = { ...scope, grouping: undefined };
  switch (expression.kind) {
    case 'number':
    case 'string':
      return { kind: expression.kind, value: expression.value, position, grid } as PlanNode;
    case 'vector-selector':
      return selectorNode(expression, scope, 'value');
    case 'matrix-selector':
    case 'subquery':
      return { kind: 'matrix', source: rangeSource(expression, scope), position, grid };
    case 'paren':
      return build(expression.expression, below);
    case 'unary': {
      const { operator } = expression;
      const operand = build(expression.expression, below);
      return { kind: 'unary', operator, expression: operand, position, grid };
    }
    case 'binary':
      return binaryNode(expression, below);
    case 'aggregate':
      return aggregateNode(expression, scope);
    case 'call':
      return callNode(expression, below);
  }
}

function selectorNode(
  selector: VectorSelector,
  scope: Scope,
  output: SelectorNode['output'],
): SelectorNode {
  const { matchers, smoothed, position } = selector;
  const shift = timeShift(selector, scope);
  const extension = smoothed ? 'smoothed' : 'none';
  return {
    kind: 'selector',
    request: requestOf(scope, { matchers, ...shift, rangeMs: 0, extension, lookbehindMs: 0 }),
    lookbackMs: scope.query.lookbackMs,
    smoothed,
    histogramStats: scope.histogramStats === 'wanted',
    output,
    ...shift,
    position,
    grid: scope.grid,
  };
}

function rangeSource(
  expression: MatrixSelector | SubqueryExpression,
  scope: Scope,
  lookbehindMs = 0,
): RangeSource {
  const { position } = expression;
  const rangeMs = resolveDuration(expression.range, durationScope(scope), 'positive');
  if (expression.kind === 'subquery') {
    const shift = timeShift(expression, scope);
    const stepMs =
      expression.step === undefined
        ? undefined
        : resolveDuration(expression.step, durationScope(scope), 'positive');
    const inside = subqueryScope(scope, { rangeMs, stepMs, ...shift });
    const inner = wrapped(expression.expression, inside);
    return { kind: 'subquery', expression: inner, rangeMs, ...shift, position };
  }
  const { selector } = expression;
  const shift = timeShift(selector, scope);
  const extension = extensionOf(selector);
  const below: Scope = { ...scope, grouping: undefined };
  const { matchers } = selector;
  return {
    kind: 'samples',
    request: requestOf(below, { matchers, ...shift, rangeMs, extension, lookbehindMs }),
    rangeMs,
    lookbackMs: scope.query.lookbackMs,
    extension,
    lookbehindMs,
    histogramStats: scope.histogramStats === 'wanted',
    ...shift,
    position,
  };
}

function extensionOf({ anchored, smoothed }: VectorSelector): 'none' | 'anchored' | 'smoothed' {
  if (anchored) return 'anchored';
  return smoothed ? 'smoothed' : 'none';
}

function timeShift(shifted: VectorSelector | SubqueryExpression, scope: Scope): TimeShift {
  const { offset, at } = shifted;
  return {
    atMs: at === undefined ? undefined : resolveAt(at, scope),
    offsetMs: offset === undefined ? 0 : resolveDuration(offset, durationScope(scope), 'any'),
  };
}

function resolveAt(at: AtModifier, { query }: Scope): number {
  if (at.kind === 'time') return at.timeMs;
  return at.kind === 'start' ? query.startMs : query.endMs;
}

function durationScope({ query }: Scope): { stepMs: number; rangeMs: number } {
  return { stepMs: query.stepMs, rangeMs: query.endMs - query.startMs };
}

function binaryNode(expression: BinaryExpression, scope: Scope): PlanNode {
  const { operator, returnBool, matching, position } = expression;
  const { grid } = scope;
  const trims = operator === '</' || operator === '>/';
  const histogramStats = trims ? 'never' : scope.histogramStats;
  const below: Scope = { ...scope, func: '', histogramStats };
  // An operator that is the same at every step as a whole has been wrapped as a whole.
  const left = wrapped(expression.left, below);
  const right = wrapped(expression.right, below);
  return { kind: 'binary', operator, left, right, returnBool, matching, position, grid };
}

function aggregateNode(expression: AggregateExpression, scope: Scope): PlanNode {
  const { operator, without, position } = expression;
  const { grid } = scope;
  const grouping = [...expression.grouping];
  const inside: Scope = { ...scope, func: operator, grouping: { by: !without, labels: grouping } };
  const parameter =
    expression.parameter === undefined
      ? undefined
      : build(unwrapParens(expression.parameter), inside);
  return {
    kind: 'aggregate',
    operator,
    expression: build(unwrapParens(expression.expression), inside),
    parameter,
    without,
    grouping,
    position,
    grid,
  };
}

function callNode(expression: CallExpression, scope: Scope): PlanNode {
  const { name } = expression.function;
  const { position } = expression;
  const { grid } = scope;
  if (isQueryConstant(name)) {
    return { kind: 'number', value: queryConstant(name, scope), position, grid };
  }
  const inside: Scope = { ...scope, func: name, histogramStats: statsBelow(name, scope) };
  const args = expression.args.map(unwrapParens);
  if (name === 'info') return infoNode(expression, args, inside);
  if (name === 'timestamp' || name === 'start_timestamp') {
    return timestampNode(name, args[0]!, position, inside);
  }
  const ranged = args.find((arg) => arg.kind === 'matrix-selector' || arg.kind === 'subquery');
  if (ranged === undefined) {
    return { kind: 'call', name, args: args.map((arg) => wrapped(arg, inside)), position, grid };
  }
  const lookbehindMs = rangeFunctions.get(name)?.lookbehindMs ?? 0;
  const source = rangeSource(ranged, inside, lookbehindMs);
  // Prometheus finds that when it evaluates: in a subquery without steps it never does.
  if (grid.steps > 0) checkExtension(name, source);
  const scalars = args.filter((arg) => arg !== ranged).map((arg) => wrapped(arg, inside));
  // In annotations Prometheus puts a subquery at the beginning of the query, wherever it is.
  const place = args[0]!.kind === 'subquery' ? { start: 0, end: 0 } : args[0]!.position;
  const argPosition = { ...place, speaker: position };
  return { kind: 'range-call', name, source, args: scalars, argPosition, position, grid };
}

/** Semantics: detectHistogramStatsDecoding of promql/engine.go in Prometheus. */
function statsBelow(name: string, { histogramStats }: Scope): Scope['histogramStats'] {
  if (histogramStats === 'never') return 'never';
  switch (name) {
    case 'histogram_quantile':
    case 'histogram_quantiles':
    case 'histogram_fraction':
      return 'never';
    case 'histogram_count':
    case 'histogram_sum':
    case 'histogram_avg':
      return 'wanted';
    default:
      return histogramStats;
  }
}

function queryConstant(name: string, { query }: Scope): number {
  switch (name) {
    case 'start':
      return query.startMs / 1000;
    case 'end':
      return query.endMs / 1000;
    case 'range':
      return (query.endMs - query.startMs) / 1000;
    default:
      return query.startMs === query.endMs ? 0 : query.stepMs / 1000;
  }
}

/** `timestamp()` of a selector is the time of its sample, of anything else the time of the step. */
function timestampNode(
  name: 'timestamp' | 'start_timestamp',
  arg: Expression,
  position: PositionRange,
  scope: Scope,
): PlanNode {
  const { grid } = scope;
  if (arg.kind !== 'vector-selector') {
    return { kind: 'call', name, args: [wrapped(arg, scope)], position, grid };
  }
  const output = name === 'timestamp' ? 'timestamp' : 'start-timestamp';
  const selector = selectorNode(arg, scope, output);
  return { kind: 'call', name, args: [forgetOffset(selector)], position, grid };
}

/**
 * With `@` Prometheus forgets the offset below `timestamp`, but has selected the samples with it:
 * what it finds is in both the lookback before `@` and the one before the offset. It never smooths.
 */
function forgetOffset(selector: SelectorNode): SelectorNode {
  const { atMs, offsetMs, lookbackMs } = selector;
  if (atMs === undefined) return { ...selector, smoothed: false };
  return {
    ...selector,
    smoothed: false,
    offsetMs: Math.max(0, offsetMs),
    lookbackMs: lookbackMs - Math.abs(offsetMs),
  };
}

function infoNode(call: CallExpression, args: readonly Expression[], scope: Scope): InfoNode {
  const [base, labels] = args;
  const shift = firstSelectorShift(base!, scope);
  return {
    kind: 'info',
    expression: wrapped(base!, scope),
    matchers: labels?.kind === 'vector-selector' ? labels.matchers : undefined,
    lookbackMs: scope.query.lookbackMs,
    ...(shift ?? { atMs: undefined, offsetMs: 0 }),
    position: call.position,
    grid: scope.grid,
  };
}

/** The `@` and offset of the first selector, those of the subqueries around it included. */
function firstSelectorShift(expression: Expression, scope: Scope): TimeShift | undefined {
  switch (expression.kind) {
    case 'number':
    case 'string':
      return undefined;
    case 'vector-selector':
      return timeShift(expression, scope);
    case 'matrix-selector':
      return timeShift(expression.selector, scope);
    case 'paren':
    case 'unary':
      return firstSelectorShift(expression.expression, scope);
    case 'binary':
      return (
        firstSelectorShift(expression.left, scope) ?? firstSelectorShift(expression.right, scope)
      );
    case 'aggregate':
      return firstSelectorShift(expression.expression, scope);
    case 'call':
      return first(expression.args, (arg) => firstSelectorShift(arg, scope));
    case 'subquery': {
      const inner = firstSelectorShift(expression.expression, scope);
      if (inner === undefined || inner.atMs !== undefined) return inner;
      const outer = timeShift(expression, scope);
      return { atMs: outer.atMs, offsetMs: inner.offsetMs + outer.offsetMs };
    }
  }
}

function first<T, R>(items: readonly T[], find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

const extensionFunctions = {
  none: [],
  anchored: ['changes', 'delta', 'increase', 'rate', 'resets'],
  smoothed: ['delta', 'increase', 'rate'],
};

function checkExtension(name: string, source: RangeSource): void {
  if (source.kind === 'subquery' || source.extension === 'none') return;
  const allowed = extensionFunctions[source.extension];
  if (allowed.includes(name)) return;
  throw new EvaluationError(
    `${source.extension} modifier can only be used with: ${allowed.join(', ')} - not with ${name}`,
  );
}
