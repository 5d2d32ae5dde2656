import { assert } from '#/lib/errors.ts';
import { warningTexts } from '../annotation-texts.ts';
import { maxOf, minOf, pointFunctions } from '../functions.ts';
import type { CallNode } from '../planner/nodes.ts';
import { AbsentOperator, absentLabels } from './absent.ts';
import { HistogramFunctionOperator } from './histogram-function.ts';
import { labelJoin, labelReplace } from './label-functions.ts';
import type { Operator } from './operator.ts';
import { PointCallOperator } from './point-call.ts';
import type { QueryRun } from './query-run.ts';
import { RelabelOperator, unnamed } from './relabel.ts';
import { CombinedScalar, ComputedScalar, ScalarOfVector } from './scalar.ts';
import { SortOperator, byLabels, byValue, dropHistograms } from './sort.ts';
import { timesOf } from './timestamps.ts';

/**
 * The operator of a function that is no range function. `operands` are the arguments that are not
 * strings, in order.
 */
export function callOperator(
  node: CallNode,
  operands: readonly Operator[],
  run: QueryRun,
): Operator {
  const { name, grid } = node;
  const first = operands[0]!;
  switch (name) {
    case 'time':
      return new ComputedScalar(grid, (timeMs) => timeMs / 1000);
    case 'pi':
      return new ComputedScalar(grid, () => Math.PI);
    case 'max_of':
      return new CombinedScalar(first, operands[1]!, maxOf);
    case 'min_of':
      return new CombinedScalar(first, operands[1]!, minOf);
    case 'scalar':
      return new ScalarOfVector(first, grid, run);
    case 'vector':
      return first;
    case 'timestamp':
    case 'start_timestamp':
      return timestampOperator(node, first, run);
    case 'absent':
      return new AbsentOperator(first, grid, absentLabels(matchersOf(node)), run);
    case 'label_replace':
    case 'label_join':
      return labelOperator(node, first);
    case 'sort':
    case 'sort_desc':
    case 'sort_by_label':
    case 'sort_by_label_desc':
      return sortOperator(node, first, run);
    case 'histogram_quantile':
    case 'histogram_quantiles':
    case 'histogram_fraction':
      return new HistogramFunctionOperator(node, operands, run);
    default:
      return pointOperator(node, operands, run);
  }
}

function pointOperator(node: CallNode, operands: readonly Operator[], run: QueryRun): Operator {
  const pointFunction = pointFunctions.get(node.name);
  assert(pointFunction !== undefined, `the function ${node.name} is known to the parser alone`);
  if (operands.length === 0 && pointFunction.ofTimeByDefault) {
    const time = new ComputedScalar(node.grid, (timeMs) => Math.floor(timeMs / 1000));
    return new PointCallOperator({ node, pointFunction, vector: time, scalars: [] }, run);
  }
  const [vector, ...scalars] = operands;
  return new PointCallOperator({ node, pointFunction, vector: vector!, scalars }, run);
}

function timestampOperator(node: CallNode, vector: Operator, run: QueryRun): Operator {
  const isSelector = node.args[0]!.kind === 'selector';
  const drop = unnamed(run.delayedNameRemoval);
  if (node.name === 'timestamp') {
    return new RelabelOperator(vector, drop, isSelector ? undefined : timesOf(node.grid));
  }
  // Only a selector knows when its samples started.
  const isKnown = isSelector && run.startTimestamps;
  return new RelabelOperator(vector, drop, isKnown ? undefined : (column) => column.clear());
}

function matchersOf(node: CallNode) {
  const [arg] = node.args;
  const vector = arg?.kind === 'sharded' ? arg.expression : arg;
  return vector?.kind === 'selector' ? vector.request.matchers : [];
}

function labelOperator(node: CallNode, vector: Operator): Operator {
  const texts = node.args.flatMap((arg) => (arg.kind === 'string' ? [arg.value] : []));
  const [target = '', second = '', third = '', pattern = ''] = texts;
  const relabel =
    node.name === 'label_replace'
      ? labelReplace({ target, replacement: second, source: third, pattern })
      : labelJoin(target, second, texts.slice(2));
  return new RelabelOperator(vector, relabel);
}

function sortOperator(node: CallNode, vector: Operator, run: QueryRun): Operator {
  const { name, grid, args, position } = node;
  if ((grid.endMs ?? grid.startMs) !== grid.startMs) {
    run.annotations.warn(warningTexts.sortInRangeQuery(), position);
  }
  const direction = name.endsWith('_desc') ? -1 : 1;
  if (name === 'sort' || name === 'sort_desc') {
    const floats = new RelabelOperator(vector, (series) => series, dropHistograms);
    return new SortOperator(floats, grid, byValue(direction), run);
  }
  const names = args.flatMap((arg) => (arg.kind === 'string' ? [arg.value] : []));
  return new SortOperator(vector, grid, byLabels(names, direction), run);
}
