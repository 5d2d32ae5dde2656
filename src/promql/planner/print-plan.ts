import { printMatcher } from '#/model/matcher.ts';
import { formatDuration } from '#/model/time.ts';
import type { SelectRequest } from '#/storage/queryable.ts';
import type { PlanNode, RangeSource, TimeShift } from './nodes.ts';

/** A plan for people to read: a line a node, children indented by two spaces. */
export function printPlan(node: PlanNode): string {
  return lines(node).join('\n');
}

function lines(node: PlanNode): string[] {
  return [describeNode(node), ...childrenOf(node).flatMap(lines).map(indent)];
}

function indent(line: string): string {
  return `  ${line}`;
}

/** What a node does, in a line. */
export function describeNode(node: PlanNode): string {
  switch (node.kind) {
    case 'number':
    case 'string':
      return `${node.kind} ${JSON.stringify(node.value)}`;
    case 'known-scalar':
      return 'known';
    case 'selector':
      return `select ${describeRequest(node.request)}${describeShift(node)}`;
    case 'matrix':
      return `samples ${describeSource(node.source)}`;
    case 'range-call':
      return `${node.name} over ${describeSource(node.source)}`;
    case 'call':
      return node.name;
    case 'info':
      return 'info';
    case 'unary':
    case 'binary':
      return node.operator;
    case 'aggregate':
      return `${node.operator} ${node.without ? 'without' : 'by'} (${node.grouping.join(', ')})`;
    case 'step-invariant':
      return 'once';
    case 'sharded':
      return 'series by series';
  }
}

function describeSource(source: RangeSource): string {
  const range = `[${formatDuration(source.rangeMs)}]${describeShift(source)}`;
  if (source.kind === 'samples') return describeRequest(source.request) + range;
  const { startMs, stepMs, steps } = source.expression.grid;
  return `subquery${range} in ${steps} steps of ${formatDuration(stepMs)} from ${startMs}`;
}

function describeRequest({ matchers, mint, maxt, hints }: SelectRequest): string {
  const grouping = hints.grouping === undefined ? '' : ` ${describeGrouping(hints.grouping)}`;
  const hint = hints.func === '' ? '' : ` for ${hints.func}${grouping}`;
  return `{${matchers.map(printMatcher).join(',')}} [${mint},${maxt}]${hint}`;
}

function describeGrouping({ by, labels }: NonNullable<SelectRequest['hints']['grouping']>): string {
  return `${by ? 'by' : 'without'} (${labels.join(', ')})`;
}

function describeShift({ atMs, offsetMs }: TimeShift): string {
  const at = atMs === undefined ? '' : ` @ ${atMs}`;
  return offsetMs === 0 ? at : `${at} offset ${formatDuration(offsetMs)}`;
}

export function childrenOf(node: PlanNode): readonly PlanNode[] {
  switch (node.kind) {
    case 'number':
    case 'known-scalar':
    case 'string':
    case 'selector':
      return [];
    case 'matrix':
      return innerOf(node.source);
    case 'range-call':
      return [...innerOf(node.source), ...node.args];
    case 'call':
      return node.args;
    case 'info':
    case 'unary':
    case 'step-invariant':
    case 'sharded':
      return [node.expression];
    case 'binary':
      return [node.left, node.right];
    case 'aggregate':
      return [node.expression, ...(node.parameter === undefined ? [] : [node.parameter])];
  }
}

function innerOf(source: RangeSource): readonly PlanNode[] {
  return source.kind === 'subquery' ? [source.expression] : [];
}
