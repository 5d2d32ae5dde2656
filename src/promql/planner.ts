import type { Expression } from './ast.ts';
import { buildPlan } from './planner/build.ts';
import { foldConstants } from './planner/fold-constants.ts';
import { mergeSelects } from './planner/merge-selects.ts';
import type { PlanNode } from './planner/nodes.ts';
import { pushMatchers } from './planner/push-matchers.ts';
import type { QueryTimes } from './planner/scope.ts';
import { rootScope } from './planner/scope.ts';

export { shardBySeries } from './planner/shard-by-series.ts';
export { printPlan } from './planner/print-plan.ts';
export type { PlanNode } from './planner/nodes.ts';
export type { QueryTimes } from './planner/scope.ts';

/** Takes and gives a whole plan; evaluating either has the same result. */
export type PlannerPass = (plan: PlanNode) => PlanNode;

/** All passes in the order they run. */
export const plannerPasses: readonly PlannerPass[] = [foldConstants, pushMatchers, mergeSelects];

/**
 * The logical plan of an expression for given times.
 * @throws BadInputError for a duration that is no valid one.
 * @throws EvaluationError for a modifier that a function does not take.
 */
export function planQuery(
  expression: Expression,
  query: QueryTimes,
  passes: readonly PlannerPass[] = plannerPasses,
): PlanNode {
  return passes.reduce((plan, pass) => pass(plan), plainPlan(expression, query));
}

/** The plan before all passes: what they must not change the result of. */
export function plainPlan(expression: Expression, query: QueryTimes): PlanNode {
  return buildPlan(expression, rootScope(query));
}
