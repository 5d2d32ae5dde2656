import { assert } from '#/lib/errors.ts';
import { rangeFunctions } from '../functions.ts';
import type { BinaryNode, PlanNode, RangeCallNode, RangeSource } from '../planner/nodes.ts';
import type { StepGrid } from '../step-grid.ts';
import { AbsentOperator, absentLabels } from './absent.ts';
import { aggregateOperator } from './aggregate-operator.ts';
import { scalarOperation } from './arithmetic.ts';
import { callOperator } from './call-operator.ts';
import { InfoOperator } from './info.ts';
import type { Operator } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { RangeCallOperator } from './range-call.ts';
import type { WindowReach } from './range-call.ts';
import { RelabelOperator, unnamed } from './relabel.ts';
import { StoredSamples, SubquerySamples } from './sample-source.ts';
import type { SampleSource } from './sample-source.ts';
import { CombinedScalar, ComputedScalar, KnownScalar } from './scalar.ts';
import { SelectorOperator } from './selector.ts';
import { SetOperator } from './set-operation.ts';
import { ShardedOperator } from './sharded.ts';
import { SmoothedSelectorOperator } from './smoothed-selector.ts';
import { StepInvariantOperator } from './step-invariant.ts';
import { negate } from './unary.ts';
import { VectorScalarOperator } from './vector-scalar.ts';
import { VectorVectorOperator } from './vector-vector.ts';

/** The physical plan of a logical one: an operator a node, not open yet. */
export function operatorOf(node: PlanNode, run: QueryRun): Operator {
  const { analysis } = run;
  if (analysis === undefined) return newOperator(node, run);
  return analysis.observe(node, (record) => newOperator(node, run.countedFor(record)));
}

function newOperator(node: PlanNode, run: QueryRun): Operator {
  switch (node.kind) {
    case 'number':
      return new ComputedScalar(node.grid, () => node.value);
    case 'selector':
      return node.smoothed
        ? new SmoothedSelectorOperator(node, run)
        : new SelectorOperator(node, run);
    case 'range-call':
      return rangeCallOperator(node, run);
    case 'call': {
      const args = node.args.map((arg) =>
        arg.kind === 'string' ? undefined : operatorOf(arg, run),
      );
      return callOperator(
        node,
        args.filter((arg) => arg !== undefined),
        run,
      );
    }
    case 'info':
      return new InfoOperator(node, operatorOf(node.expression, run), run);
    case 'unary': {
      const operand = operatorOf(node.expression, run);
      if (node.operator === '+') return operand;
      if (isScalar(node.expression))
        return new RelabelOperator(operand, (series) => series, negate);
      return new RelabelOperator(operand, unnamed(run.delayedNameRemoval), negate);
    }
    case 'binary':
      return binaryOperator(node, operatorOf(node.left, run), operatorOf(node.right, run), run);
    case 'aggregate': {
      const { parameter } = node;
      const isScalarParameter = parameter !== undefined && parameter.kind !== 'string';
      const operand = isScalarParameter ? operatorOf(parameter, run) : undefined;
      return aggregateOperator(node, operatorOf(node.expression, run), operand, run);
    }
    case 'step-invariant':
      return new StepInvariantOperator(operatorOf(node.expression, run));
    case 'known-scalar':
      return new KnownScalar(node.values);
    case 'sharded': {
      const { shards } = run;
      if (shards === undefined) return operatorOf(node.expression, run);
      return new ShardedOperator(node, run, shards, (plan) => operatorOf(plan, run));
    }
    case 'string':
    case 'matrix':
      throw new Error(`broken invariant: a ${node.kind} is no operand`);
  }
}

/** Where a range vector's samples come from. */
export function sampleSourceOf(source: RangeSource, grid: StepGrid, run: QueryRun): SampleSource {
  return source.kind === 'samples'
    ? new StoredSamples(source, grid, run)
    : new SubquerySamples(source, operatorOf(source.expression, run));
}

function rangeCallOperator(node: RangeCallNode, run: QueryRun): Operator {
  const { name, grid } = node;
  const definition = rangeFunctions.get(name);
  assert(definition !== undefined, `the range function ${name} is known to the parser alone`);
  const call = new RangeCallOperator(
    {
      node,
      definition,
      reach: reachOf(node.source),
      source: sampleSourceOf(node.source, grid, run),
      args: node.args.map((arg) => operatorOf(arg, run)),
    },
    run,
  );
  if (name !== 'absent_over_time') return call;
  const matchers = node.source.kind === 'samples' ? node.source.request.matchers : [];
  return new AbsentOperator(call, grid, absentLabels(matchers), run);
}

function reachOf(source: RangeSource): WindowReach {
  if (source.kind === 'subquery') return { beforeMs: 0, afterMs: 0 };
  const { lookbackMs, lookbehindMs, extension } = source;
  // Times are whole milliseconds: one more closes the end.
  if (lookbehindMs > 0) return { beforeMs: lookbehindMs + 1, afterMs: 0 };
  if (extension === 'none') return { beforeMs: 0, afterMs: 0 };
  return { beforeMs: lookbackMs, afterMs: extension === 'smoothed' ? lookbackMs : 0 };
}

function binaryOperator(
  node: BinaryNode,
  left: Operator,
  right: Operator,
  run: QueryRun,
): Operator {
  const { operator, matching } = node;
  if (matching !== undefined) {
    const join = { ...node, matching };
    const isSet = operator === 'and' || operator === 'or' || operator === 'unless';
    return isSet
      ? new SetOperator(join, left, right, run)
      : new VectorVectorOperator(join, left, right, run);
  }
  const leftIsScalar = isScalar(node.left);
  if (leftIsScalar && isScalar(node.right)) {
    return new CombinedScalar(left, right, scalarOperation(operator));
  }
  const [vector, scalar] = leftIsScalar ? [right, left] : [left, right];
  return new VectorScalarOperator({ node, vector, scalar, scalarFirst: leftIsScalar }, run);
}

const scalarFunctions = new Set(['time', 'pi', 'scalar', 'max_of', 'min_of']);

/** Whether a node gives one sample without labels at every step. */
function isScalar(node: PlanNode): boolean {
  switch (node.kind) {
    case 'number':
    case 'known-scalar':
      return true;
    case 'unary':
    case 'step-invariant':
      return isScalar(node.expression);
    case 'binary':
      return isScalar(node.left) && isScalar(node.right);
    case 'call':
      return scalarFunctions.has(node.name);
    default:
      return false;
  }
}
