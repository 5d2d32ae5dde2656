import type { Labels } from '#/model/labels.ts';
import { Annotations } from '../annotations.ts';
import type { VectorMatching } from '../ast.ts';
import { EvaluationError } from '../evaluation-error.ts';
import type { JoinNode } from '../planner/nodes.ts';
import type { StepColumn } from '../step-column.ts';
import { checkMatches } from './check-matches.ts';
import { JoinSide } from './join-side.ts';
import { LastNotes } from './last-notes.ts';
import type { MatchGroup } from './matching.ts';
import { groupByMatch, matchLabels } from './matching.ts';
import { failSameLabels } from './merged-series.ts';
import type { Operator, OutputSeries } from './operator.ts';
import { withoutMetadata } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { SampleOperation } from './sample-operation.ts';
import { putResult } from './vector-scalar.ts';

/** Two series that meet, or one series and the fill value of the side that has none. */
interface Pair {
  /** Its place in Prometheus's order. */
  readonly rank: number;
  readonly group: MatchGroup;
  readonly many: number | undefined;
  readonly one: number | undefined;
}

interface Output {
  readonly labels: Labels;
  readonly pairs: Pair[];
}

/**
 * An arithmetic operator or comparison between two vectors. Sides are told apart as the `many` and
 * the `one`; one-to-one counts as many-to-one. Which series can meet follows from their labels, so
 * the outputs are known at opening; each is computed when it is read.
 */
export class VectorVectorOperator implements Operator {
  readonly #node: JoinNode;
  readonly #many: JoinSide;
  readonly #one: JoinSide;
  readonly #run: QueryRun;
  readonly #operation: SampleOperation;
  readonly #notes: LastNotes;
  /** The same operation where its annotations do not count. */
  readonly #probe: SampleOperation;
  readonly #isSwapped: boolean;
  readonly #matchLabels: (labels: Labels) => Labels;
  readonly #matchNames: ReadonlySet<string>;
  #outputs: readonly Output[] = [];
  /** Scratch: at each step 1 + the number of the group that has put out a sample, or 0. */
  readonly #claims: Int32Array;

  constructor(node: JoinNode, left: Operator, right: Operator, run: QueryRun) {
    this.#node = node;
    this.#run = run;
    this.#isSwapped = node.matching.cardinality === 'one-to-many';
    this.#matchLabels = matchLabels(node.matching);
    this.#matchNames = new Set(node.matching.labels);
    const { steps } = node.grid;
    this.#many = new JoinSide(this.#isSwapped ? right : left, steps, run);
    this.#one = new JoinSide(this.#isSwapped ? left : right, steps, run);
    this.#notes = new LastNotes(steps, run.annotations);
    this.#operation = new SampleOperation(node.operator, this.#notes, node.position);
    this.#probe = new SampleOperation(node.operator, new Annotations(), node.position);
    this.#claims = new Int32Array(steps);
  }

  async open(): Promise<readonly OutputSeries[]> {
    const { matching, returnBool } = this.#node;
    await Promise.all([this.#many.open(), this.#one.open()]);
    const matches = groupByMatch(this.#many.series, this.#one.series, matching);
    await checkMatches({
      node: this.#node,
      groups: matches.groups,
      many: this.#many,
      one: this.#one,
      operation: this.#probe,
      run: this.#run,
    });
    const outputs = new Map<string, Output>();
    for (const pair of pairsOf(matches.ofLeft, matches.ofRight, matching)) {
      const labels = this.#resultLabels(pair);
      const output = outputs.get(labels.key);
      if (output === undefined) outputs.set(labels.key, { labels, pairs: [pair] });
      else output.pairs.push(pair);
    }
    await this.#readUnused(outputs.values());
    this.#outputs = [...outputs.values()];
    return this.#outputs.map(({ labels }) => ({ labels, dropName: returnBool }));
  }

  async #readUnused(outputs: Iterable<Output>): Promise<void> {
    const many = new Set(this.#many.series.keys());
    const one = new Set(this.#one.series.keys());
    for (const { pairs } of outputs) {
      for (const pair of pairs) {
        many.delete(pair.many ?? -1);
        one.delete(pair.one ?? -1);
      }
    }
    await this.#many.readUnused(many);
    await this.#one.readUnused(one);
  }

  async readAhead(order: readonly number[]): Promise<void> {
    const pairs = order.flatMap((index) => this.#outputs[index]!.pairs);
    await Promise.all([
      this.#many.readAhead(pairs.map(({ many }) => many)),
      this.#one.readAhead(pairs.map(({ one }) => one)),
    ]);
  }

  read(index: number, into: StepColumn): void {
    const { pairs } = this.#outputs[index]!;
    into.clear();
    if (pairs.length > 1) this.#claims.fill(0);
    const groups = new Map<MatchGroup, number>();
    for (const pair of pairs) {
      const groupNumber = groups.get(pair.group) ?? groups.size + 1;
      groups.set(pair.group, groupNumber);
      this.#readPair(pair, pairs.length > 1 ? groupNumber : 0, into);
    }
    this.#run.spend(into.steps);
  }

  /** Puts the samples of a pair into `into`; `groupNumber` is 0 if nothing else goes there. */
  #readPair(pair: Pair, groupNumber: number, into: StepColumn): void {
    const { matching } = this.#node;
    const { group } = pair;
    const many =
      pair.many === undefined
        ? undefined
        : this.#many.column(pair.many, group.right.length > 1 || hasFill(matching));
    const one =
      pair.one === undefined
        ? undefined
        : this.#one.column(pair.one, group.left.length > 1 || hasFill(matching));
    const wanted = many ?? one!;
    for (let step = 0; step < into.steps; step++) {
      if (wanted.present[step] === 0) continue;
      if (one === undefined) {
        if (this.#isPresent(this.#one, group.right, step)) continue;
      } else if (many === undefined) {
        if (this.#isMatched(group, step, one)) continue;
      } else if (one.present[step] === 0) continue;
      this.#notes.at(step, pair.rank);
      this.#combine(step, many, one, groupNumber, into);
    }
  }

  #combine(
    step: number,
    many: StepColumn | undefined,
    one: StepColumn | undefined,
    groupNumber: number,
    into: StepColumn,
  ): void {
    const outcome = this.#applyAt(this.#operation, step, many, one);
    if (outcome === 'unfit') return;
    if (groupNumber > 0 && this.#claims[step] === groupNumber) {
      throw new EvaluationError(
        'multiple matches for labels: grouping labels must ensure unique matches',
      );
    }
    if (groupNumber > 0) this.#claims[step] = groupNumber;
    const { returnBool } = this.#node;
    if (outcome === 'dropped' && !returnBool) return;
    if (into.present[step] === 1) failSameLabels();
    if (returnBool) into.setFloat(step, outcome === 'kept' ? 1 : 0);
    else putResult(this.#operation, step, into);
  }

  #applyAt(
    operation: SampleOperation,
    step: number,
    many: StepColumn | undefined,
    one: StepColumn | undefined,
  ) {
    const { fill } = this.#node.matching;
    const manyValue = many === undefined ? fill.left! : many.values[step]!;
    const oneValue = one === undefined ? fill.right! : one.values[step]!;
    const manyHistogram = many?.histograms?.[step];
    const oneHistogram = one?.histograms?.[step];
    return this.#isSwapped
      ? operation.apply(oneValue, oneHistogram, manyValue, manyHistogram)
      : operation.apply(manyValue, manyHistogram, oneValue, oneHistogram);
  }

  /**
   * Whether a `one` sample of the group has found a partner, so that it needs no fill value. A float
   * and a histogram that the operator cannot put together have not found each other.
   */
  #isMatched(group: MatchGroup, step: number, one: StepColumn): boolean {
    return group.left.some((member) => {
      const many = this.#many.column(member, true);
      return many.present[step] === 1 && this.#applyAt(this.#probe, step, many, one) !== 'unfit';
    });
  }

  #isPresent(side: JoinSide, members: readonly number[], step: number): boolean {
    return members.some((member) => side.column(member, true).present[step] === 1);
  }

  /** Semantics: resultMetric of promql/engine.go in Prometheus. */
  #resultLabels({ many, one }: Pair): Labels {
    const { matching, returnBool } = this.#node;
    const labelsOf = this.#matchLabels;
    const oneLabels = one === undefined ? undefined : this.#one.series[one]!.labels;
    const manyLabels = many === undefined ? labelsOf(oneLabels!) : this.#many.series[many]!.labels;
    const others = oneLabels ?? labelsOf(manyLabels);
    const dropsName = returnBool && !this.#run.delayedNameRemoval;
    const changesMetric = this.#operation.float !== undefined;
    let result = dropsName || changesMetric ? withoutMetadata(manyLabels) : manyLabels;
    if (matching.cardinality === 'one-to-one') {
      const names = this.#matchNames;
      result = matching.on ? result.only(names) : result.without(names);
    }
    if (matching.include.length === 0) return result;
    return result.merge(matching.include.map((name) => ({ name, value: others.get(name) })));
  }
}

function hasFill({ fill }: VectorMatching): boolean {
  return fill.left !== undefined || fill.right !== undefined;
}

/** In the order of Prometheus's results: by the many side, then what is left of the one side. */
function* pairsOf(
  ofMany: readonly MatchGroup[],
  ofOne: readonly MatchGroup[],
  { fill }: VectorMatching,
): Generator<Pair, void> {
  let rank = 0;
  for (const [many, group] of ofMany.entries()) {
    for (const one of group.right) yield { rank: rank++, group, many, one };
    if (fill.right !== undefined) yield { rank: rank++, group, many, one: undefined };
  }
  if (fill.left === undefined) return;
  for (const [one, group] of ofOne.entries()) yield { rank: rank++, group, many: undefined, one };
}
