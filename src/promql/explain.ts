import type { SelectRequest } from '#/storage/queryable.ts';
import type { PositionRange } from './ast.ts';
import { plannerPasses } from './planner.ts';
import type { PlannerPass } from './planner.ts';
import type { PlanNode } from './planner/nodes.ts';
import { childrenOf, describeNode, printPlan } from './planner/print-plan.ts';
import type { StepGrid } from './step-grid.ts';

/** An operator as people see it, before or after it ran. */
export interface ExplainedNode {
  /** Its kind in brackets and what it does: `[aggregate] sum by (job)`. */
  readonly name: string;
  /** The part of the query that it evaluates, as offsets in the text, the end exclusive. */
  readonly position: PositionRange;
  readonly grid: StepGrid;
  /** What it asks the storage for. Operators that share a request share its answer. */
  readonly request: SelectRequest | undefined;
}

export interface ExplainedTree extends ExplainedNode {
  readonly children: readonly ExplainedTree[];
}

/** How a query would be evaluated. */
export interface Explanation {
  /** The operators, from the one that gives the answer down to the selectors. */
  readonly tree: ExplainedTree;
  /** The logical plan before all passes and behind them; see `printPlan`. */
  readonly logicalPlan: string;
  readonly optimizedPlan: string;
  /** What the passes were, in their order, and which of them changed the plan. */
  readonly passes: readonly { readonly name: string; readonly changed: boolean }[];
}

/** `final` is what the engine makes of the plan behind its passes. */
export function explainPlan(
  plain: PlanNode,
  final: PlanNode,
  passes: readonly PlannerPass[] = plannerPasses,
): Explanation {
  const logicalPlan = printPlan(plain);
  let [plan, text] = [plain, logicalPlan];
  const applied = passes.map((pass) => {
    plan = pass(plan);
    const before = text;
    text = printPlan(plan);
    return { name: pass.name, changed: text !== before };
  });
  return {
    tree: explainTree(final),
    logicalPlan,
    optimizedPlan: printPlan(final),
    passes: applied,
  };
}

export function explainTree(node: PlanNode): ExplainedTree {
  return { ...explainNode(node), children: childrenOf(node).map(explainTree) };
}

/** A node by itself. */
export function explainNode(node: PlanNode): ExplainedNode {
  const { kind, position, grid } = node;
  return { name: `[${kind}] ${describeNode(node)}`, position, grid, request: requestOf(node) };
}

function requestOf(node: PlanNode): SelectRequest | undefined {
  if (node.kind === 'selector') return node.request;
  const isRange = node.kind === 'range-call' || node.kind === 'matrix';
  return isRange && node.source.kind === 'samples' ? node.source.request : undefined;
}
