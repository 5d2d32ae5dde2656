import type { NotePosition } from '../annotations.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { SelectRequest } from '#/storage/queryable.ts';
import type { AggregationName, BinaryOperator, PositionRange, VectorMatching } from '../ast.ts';
import type { StepGrid } from '../step-grid.ts';

/**
 * A logical plan: an expression with every time resolved. Each node knows the steps it is evaluated
 * at, so a subquery or a step-invariant part is an ordinary node on another grid. Nodes are
 * immutable; a pass builds new ones. Vector nodes may have any number of series, scalar ones have
 * exactly one without labels and a sample at every step.
 */
export type PlanNode =
  | NumberNode
  | KnownScalarNode
  | StringNode
  | SelectorNode
  | MatrixNode
  | RangeCallNode
  | CallNode
  | InfoNode
  | UnaryNode
  | BinaryNode
  | AggregateNode
  | StepInvariantNode
  | ShardedNode;

interface Node {
  readonly position: PositionRange;
  readonly grid: StepGrid;
}

export interface NumberNode extends Node {
  readonly kind: 'number';
  readonly value: number;
}

/** A scalar that has been evaluated: its values at the steps. */
export interface KnownScalarNode extends Node {
  readonly kind: 'known-scalar';
  readonly values: Float64Array;
}

export interface StringNode extends Node {
  readonly kind: 'string';
  readonly value: string;
}

/** The instants a selector looks at: every step, or `atMs` for all of them, moved back by `offsetMs`. */
export interface TimeShift {
  readonly atMs: number | undefined;
  readonly offsetMs: number;
}

/** The newest sample of each series not older than the lookback, at every step. */
export interface SelectorNode extends Node, TimeShift {
  readonly kind: 'selector';
  /** Nodes that share a request share its answer. */
  readonly request: SelectRequest;
  readonly lookbackMs: number;
  readonly smoothed: boolean;
  /** Of histograms only count and sum matter, so the buckets need not be there. */
  readonly histogramStats: boolean;
  /** What becomes of a sample: its value, or the time it was taken or started at in seconds. */
  readonly output: 'value' | 'timestamp' | 'start-timestamp';
}

/** Where a range function gets each series' samples from. */
export type RangeSource = SamplesSource | SubquerySource;

/** The stored samples in a window of `rangeMs` before every step. */
export interface SamplesSource extends TimeShift {
  readonly kind: 'samples';
  readonly position: PositionRange;
  readonly request: SelectRequest;
  readonly rangeMs: number;
  readonly lookbackMs: number;
  readonly extension: 'none' | 'anchored' | 'smoothed';
  /** Samples this long before each window are wanted, too, the one exactly there included. */
  readonly lookbehindMs: number;
  /** As in `SelectorNode`. */
  readonly histogramStats: boolean;
}

/** The samples of an expression evaluated on its own grid. */
export interface SubquerySource extends TimeShift {
  readonly kind: 'subquery';
  readonly position: PositionRange;
  readonly expression: PlanNode;
  readonly rangeMs: number;
}

/** A range vector as the result of an instant query. */
export interface MatrixNode extends Node {
  readonly kind: 'matrix';
  readonly source: RangeSource;
}

/** `rate(x[5m])`: a function over the windows of one series at a time. */
export interface RangeCallNode extends Node {
  readonly kind: 'range-call';
  readonly name: string;
  readonly source: RangeSource;
  /** The scalar arguments, in order. */
  readonly args: readonly PlanNode[];
  /** Of the function's first argument, whichever that is. */
  readonly argPosition: NotePosition;
}

/** Every other function. */
export interface CallNode extends Node {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly PlanNode[];
}

/** `info(expression, {…})`: adds the labels of info metrics, which it selects when it is opened. */
export interface InfoNode extends Node, TimeShift {
  readonly kind: 'info';
  readonly expression: PlanNode;
  /** The data label selector; `undefined` when there is none. */
  readonly matchers: readonly Matcher[] | undefined;
  readonly lookbackMs: number;
}

export interface UnaryNode extends Node {
  readonly kind: 'unary';
  readonly operator: '+' | '-';
  readonly expression: PlanNode;
}

export interface BinaryNode extends Node {
  readonly kind: 'binary';
  readonly operator: BinaryOperator;
  readonly left: PlanNode;
  readonly right: PlanNode;
  readonly returnBool: boolean;
  /** Present exactly when both sides are vectors. */
  readonly matching: VectorMatching | undefined;
}

/** A binary operator between two vectors. */
export type JoinNode = BinaryNode & { readonly matching: VectorMatching };

export interface AggregateNode extends Node {
  readonly kind: 'aggregate';
  readonly operator: AggregationName;
  readonly expression: PlanNode;
  readonly parameter: PlanNode | undefined;
  readonly without: boolean;
  readonly grouping: readonly string[];
}

/** Evaluates its expression at the first step only; the value holds for all steps. */
export interface StepInvariantNode extends Node {
  readonly kind: 'step-invariant';
  readonly expression: PlanNode;
}

/** Its expression is evaluated for each series by itself, so workers may share the series out. */
export interface ShardedNode extends Node {
  readonly kind: 'sharded';
  readonly expression: PlanNode;
}

/** The node with `change` applied to each of its direct children. */
export function mapChildren(node: PlanNode, change: (child: PlanNode) => PlanNode): PlanNode {
  switch (node.kind) {
    case 'number':
    case 'known-scalar':
    case 'string':
    case 'selector':
      return node;
    case 'matrix':
      return { ...node, source: mapSource(node.source, change) };
    case 'range-call':
      return { ...node, source: mapSource(node.source, change), args: node.args.map(change) };
    case 'call':
      return { ...node, args: node.args.map(change) };
    case 'info':
    case 'unary':
    case 'step-invariant':
    case 'sharded':
      return { ...node, expression: change(node.expression) };
    case 'binary':
      return { ...node, left: change(node.left), right: change(node.right) };
    case 'aggregate': {
      const parameter = node.parameter === undefined ? undefined : change(node.parameter);
      return { ...node, expression: change(node.expression), parameter };
    }
  }
}

function mapSource(source: RangeSource, change: (child: PlanNode) => PlanNode): RangeSource {
  return source.kind === 'samples' ? source : { ...source, expression: change(source.expression) };
}

/** The node with every storage request in it replaced; a request must be replaced by equals. */
export function mapRequests(
  node: PlanNode,
  change: (request: SelectRequest) => SelectRequest,
): PlanNode {
  const mapped = mapChildren(node, (child) => mapRequests(child, change));
  if (mapped.kind === 'selector') return { ...mapped, request: change(mapped.request) };
  if (
    (mapped.kind === 'range-call' || mapped.kind === 'matrix') &&
    mapped.source.kind === 'samples'
  ) {
    return { ...mapped, source: { ...mapped.source, request: change(mapped.source.request) } };
  }
  return mapped;
}
