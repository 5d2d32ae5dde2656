import { EvaluationError } from '../evaluation-error.ts';
import type { JoinNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import type { JoinSide } from './join-side.ts';
import type { MatchGroup } from './matching.ts';
import type { QueryRun } from './query-run.ts';
import type { SampleOperation } from './sample-operation.ts';

export interface Join {
  readonly node: JoinNode;
  readonly groups: readonly MatchGroup[];
  readonly many: JoinSide;
  readonly one: JoinSide;
  readonly operation: SampleOperation;
  readonly run: QueryRun;
}

/** Why a join fails at a step. */
interface Failure {
  readonly step: number;
  /** Order among the failures of a step: a series of the `one` side, or behind all of them. */
  readonly rank: number;
  readonly error: () => EvaluationError;
}

/**
 * Finds steps where two series of the `one` side are in the same match group, or of the `many` side
 * in a one-to-one join. Only groups that have several series at all are read.
 * @throws EvaluationError for the first such step, and the first such series at that step.
 */
export async function checkMatches(join: Join): Promise<void> {
  const { groups, node, run } = join;
  const oneToOne = node.matching.cardinality === 'one-to-one';
  let first: Failure | undefined;
  for (const group of groups) {
    if (group.right.length > 1) first = earlier(first, oneSideFailure(join, group));
    if (oneToOne && group.left.length > 1) first = earlier(first, manySideFailure(join, group));
    if (run.isDue) await run.pause();
  }
  if (first !== undefined) throw first.error();
}

function earlier(a: Failure | undefined, b: Failure | undefined): Failure | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.step < a.step || (b.step === a.step && b.rank < a.rank) ? b : a;
}

function oneSideFailure(join: Join, group: MatchGroup): Failure | undefined {
  const { one, node } = join;
  /** 1 + the member that was first at a step. */
  const owners = new Int32Array(node.grid.steps);
  let evaluated: Uint8Array | undefined;
  let first: Failure | undefined;
  for (const member of group.right) {
    const { present } = one.column(member, true);
    for (let step = 0; step < owners.length; step++) {
      if (present[step] === 0) continue;
      if (owners[step] === 0) {
        owners[step] = member + 1;
        continue;
      }
      evaluated ??= evaluatedSteps(join);
      if (evaluated[step] === 0) continue;
      const owner = owners[step]! - 1;
      const error = () => duplicate(join, group, owner, member);
      first = earlier(first, { step, rank: member, error });
    }
  }
  return first;
}

/** Without any series on the other side nothing is looked at, unless there are fill values. */
function evaluatedSteps({ many, node }: Join): Uint8Array {
  const { fill } = node.matching;
  const evaluated = new Uint8Array(node.grid.steps);
  if (fill.left !== undefined || fill.right !== undefined) return evaluated.fill(1);
  for (const index of many.series.keys()) {
    const { present } = many.column(index, false);
    for (let step = 0; step < evaluated.length; step++) evaluated[step]! |= present[step]!;
  }
  return evaluated;
}

function duplicate(join: Join, group: MatchGroup, first: number, second: number): EvaluationError {
  const { one, node } = join;
  const side = node.matching.cardinality === 'one-to-many' ? 'left' : 'right';
  const names = [first, second].map((index) => one.series[index]!.labels.toString()).sort();
  return new EvaluationError(
    `found duplicate series for the match group ${group.labels.toString()} on the ${side} hand-side of the operation: ` +
      `[${names.join(', ')}];many-to-many matching not allowed: matching labels must be unique on one side`,
  );
}

function manySideFailure(join: Join, group: MatchGroup): Failure | undefined {
  const { many, node } = join;
  const partners = partnersOf(join, group);
  const matched = new Uint8Array(node.grid.steps);
  let first: Failure | undefined;
  for (const member of group.left) {
    const column = many.column(member, true);
    for (let step = 0; step < matched.length; step++) {
      if (column.present[step] === 0 || !isMatch(join, column, partners, step)) continue;
      if (matched[step] === 1) {
        first = earlier(first, { step, rank: Number.POSITIVE_INFINITY, error: ambiguous });
      }
      matched[step] = 1;
    }
  }
  return first;
}

function ambiguous(): EvaluationError {
  return new EvaluationError(
    'multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)',
  );
}

/** What the series of the group meet on the `one` side, where at most one is present at a step. */
function partnersOf({ one, node }: Join, group: MatchGroup): StepColumn {
  const partners = new StepColumn(node.grid.steps);
  for (const member of group.right) {
    const column = one.column(member, true);
    for (let step = 0; step < partners.steps; step++) {
      if (column.present[step] === 0) continue;
      const histogram = column.histograms?.[step];
      if (histogram === undefined) partners.setFloat(step, column.values[step]!);
      else partners.setHistogram(step, histogram);
    }
  }
  return partners;
}

function isMatch(join: Join, column: StepColumn, partners: StepColumn, step: number): boolean {
  const { fill } = join.node.matching;
  const hasPartner = partners.present[step] === 1;
  if (!hasPartner && fill.right === undefined) return false;
  const value = hasPartner ? partners.values[step]! : fill.right!;
  const outcome = join.operation.apply(
    column.values[step]!,
    column.histograms?.[step],
    value,
    partners.histograms?.[step],
  );
  return outcome !== 'unfit';
}
