import { pointFunctions } from '../functions.ts';
import type { PlanNode } from './nodes.ts';
import { mapChildren } from './nodes.ts';

/**
 * Marks the largest parts of a plan that look at each series of one selector by itself: everything
 * between the storage and the first aggregation or join. Their results may be computed anywhere and
 * in any order; what folds them reads them in the order it always does.
 */
export function shardBySeries(plan: PlanNode): PlanNode {
  if (!isBySeries(plan)) return mapChildren(plan, shardBySeries);
  const expression = mapScalars(plan, shardBySeries);
  return { kind: 'sharded', expression, position: plan.position, grid: plan.grid };
}

/** Whether each series of the result follows from one series of the one selector below. */
function isBySeries(node: PlanNode): boolean {
  switch (node.kind) {
    case 'selector':
      return true;
    case 'range-call':
      if (node.name === 'absent_over_time') return false;
      return node.source.kind === 'samples' || isBySeries(node.source.expression);
    case 'unary':
      return isBySeries(node.expression);
    case 'binary':
      return node.matching === undefined && (isBySeries(node.left) || isBySeries(node.right));
    case 'call':
      return isPointwise(node.name) && node.args.length > 0 && isBySeries(node.args[0]!);
    default:
      // What is the same at every step is sent once, not once a step.
      return false;
  }
}

const ofLabelsAndTimes = new Set(['label_replace', 'label_join', 'timestamp', 'start_timestamp']);

function isPointwise(name: string): boolean {
  return pointFunctions.has(name) || ofLabelsAndTimes.has(name);
}

/** A node of `shardBySeries` with its scalar arguments, all the way down, put through `change`. */
export function mapScalars(node: PlanNode, change: (scalar: PlanNode) => PlanNode): PlanNode {
  return mapChildren(node, (child) => {
    if (isBySeries(child)) return mapScalars(child, change);
    return child.kind === 'number' || child.kind === 'string' ? child : change(child);
  });
}
