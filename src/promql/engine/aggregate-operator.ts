import { assert } from '#/lib/errors.ts';
import { warningTexts } from '../annotation-texts.ts';
import type { AggregateNode } from '../planner/nodes.ts';
import { CountAccumulator, ExtremeFold, FloatAccumulator, QuantileFold } from './accumulator.ts';
import { VarianceFold } from './accumulator.ts';
import type { Accumulator } from './accumulator.ts';
import { AggregateOperator } from './aggregate.ts';
import { CountValuesOperator } from './count-values.ts';
import { LimitRatioOperator } from './limit-ratio.ts';
import type { Operator } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { readScalar } from './scalar.ts';
import { SumAccumulator } from './sum-accumulator.ts';
import { TopKOperator } from './top-k.ts';

/** The operator of an aggregation; `parameter` is its scalar parameter, where it has one. */
export function aggregateOperator(
  node: AggregateNode,
  input: Operator,
  parameter: Operator | undefined,
  run: QueryRun,
): Operator {
  switch (node.operator) {
    case 'topk':
    case 'bottomk':
    case 'limitk':
      return new TopKOperator(node, input, parameter!, run);
    case 'limit_ratio':
      return new LimitRatioOperator(node, input, parameter!, run);
    case 'count_values': {
      assert(node.parameter?.kind === 'string', 'count_values has a string for its parameter');
      return new CountValuesOperator(node, node.parameter.value, input, run);
    }
    default: {
      const accumulator = () => accumulatorOf(node, parameter, run);
      return new AggregateOperator({ node, input, parameter, accumulator }, run);
    }
  }
}

function accumulatorOf(
  node: AggregateNode,
  parameter: Operator | undefined,
  run: QueryRun,
): Accumulator {
  const { operator, expression, grid } = node;
  const { steps } = grid;
  const notes = {
    annotations: run.annotations,
    position: { ...expression.position, speaker: node.position },
  };
  switch (operator) {
    case 'sum':
    case 'avg':
      return new SumAccumulator(operator, steps, notes);
    case 'count':
    case 'group':
      return new CountAccumulator(steps, operator === 'group');
    case 'min':
    case 'max':
      return new FloatAccumulator(operator, new ExtremeFold(operator, steps), notes);
    case 'stddev':
    case 'stdvar':
      return new FloatAccumulator(operator, new VarianceFold(operator, steps), notes);
    case 'quantile': {
      const quantiles = readScalar(parameter!, steps);
      checkQuantiles(quantiles, node, run);
      return new FloatAccumulator(operator, new QuantileFold(quantiles, run), notes);
    }
    default:
      throw new Error(`broken invariant: ${operator} has an operator of its own`);
  }
}

function checkQuantiles(quantiles: Float64Array, node: AggregateNode, run: QueryRun): void {
  const position = { ...(node.parameter ?? node).position, speaker: node.position };
  const max = quantiles.reduce((a, b) => Math.max(a, b), -Infinity);
  const min = quantiles.reduce((a, b) => Math.min(a, b), Infinity);
  const { annotations } = run;
  if (quantiles.some(Number.isNaN)) annotations.warn(warningTexts.invalidQuantile(NaN), position);
  if (max > 1) annotations.warn(warningTexts.invalidQuantile(max), position);
  if (min < 0) annotations.warn(warningTexts.invalidQuantile(min), position);
}
