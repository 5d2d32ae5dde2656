import type { PlanNode, ShardedNode } from '../planner/nodes.ts';
import { mapRequests } from '../planner/nodes.ts';
import { mapScalars } from '../planner/shard-by-series.ts';
import type { Shards } from '../shards.ts';
import type { StepColumn } from '../step-column.ts';
import type { SelectRequest, Series } from '#/storage/queryable.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { ReadAhead } from './read-ahead.ts';
import type { SentSeries } from './read-ahead.ts';
import { readScalar } from './scalar.ts';

/**
 * A part of a plan whose series workers may evaluate. It is here as well, so any series can be read
 * at any time; those that a reader announces with `readAhead` come from the workers where that pays
 * and where each result is that of one stored series.
 */
export class ShardedOperator implements Operator {
  readonly #run: QueryRun;
  readonly #shards: Shards;
  /** With scalars that are known when it is opened. */
  readonly #plan: PlanNode;
  readonly #here: Operator;
  readonly #scalars: { readonly operator: Operator; readonly values: Float64Array }[] = [];
  #sent: readonly SentSeries[] | undefined;
  #ahead: ReadAhead | undefined;

  /** `build` makes the operator of a plan. */
  constructor(
    node: ShardedNode,
    run: QueryRun,
    shards: Shards,
    build: (plan: PlanNode) => Operator,
  ) {
    this.#run = run;
    this.#shards = shards;
    this.#plan = mapScalars(node.expression, (scalar) => {
      const { grid, position } = scalar;
      const values = new Float64Array(grid.steps);
      this.#scalars.push({ operator: build(scalar), values });
      return { kind: 'known-scalar', values, grid, position };
    });
    this.#here = build(this.#plan);
  }

  async open(): Promise<readonly OutputSeries[]> {
    const [stored] = await Promise.all([
      this.#run.select(requestOf(this.#plan)),
      ...this.#scalars.map(({ operator }) => operator.open()),
    ]);
    for (const { operator, values } of this.#scalars) {
      values.set(readScalar(operator, values.length));
    }
    const series = await this.#here.open();
    // Fewer are left where series became equal without their names.
    if (series.length === stored.length) this.#sent = this.#worthSending(stored);
    return series;
  }

  async readAhead(order: readonly number[]): Promise<void> {
    this.#ahead?.stop();
    if (this.#sent === undefined) return;
    const plan = mapRequests(this.#plan, (request) => ({ ...request, matchers: [] }));
    const parts = { plan, series: this.#sent, order, shards: this.#shards };
    this.#ahead = new ReadAhead(parts, this.#run);
    await this.#ahead.start();
  }

  read(index: number, into: StepColumn): void {
    if (this.#ahead?.read(index, into) !== true) this.#here.read(index, into);
  }

  #worthSending(stored: readonly Series[]): readonly SentSeries[] | undefined {
    const sent: SentSeries[] = [];
    let work = stored.length * this.#plan.grid.steps;
    for (const { labels, portable } of stored) {
      if (portable === undefined) return undefined;
      sent.push({ labels, portable });
      work += portable.sizeBytes;
    }
    const { minWork, minSeriesWork = 0 } = this.#shards;
    return work < Math.max(minWork, minSeriesWork * stored.length) ? undefined : sent;
  }
}

function requestOf(plan: PlanNode): SelectRequest {
  let found: SelectRequest | undefined;
  mapRequests(plan, (request) => (found = request));
  if (found === undefined) throw new Error('broken invariant: a sharded plan has a selector');
  return found;
}
