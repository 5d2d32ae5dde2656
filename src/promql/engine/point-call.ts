import { METRIC_NAME } from '#/model/labels.ts';
import type { KernelContext, PointFunction } from '../functions.ts';
import type { CallNode } from '../planner/nodes.ts';
import type { StepColumn } from '../step-column.ts';
import { MergedSeries } from './merged-series.ts';
import type { Operator, OutputSeries } from './operator.ts';
import { withoutMetadata } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { readScalar } from './scalar.ts';

export interface PointCallParts {
  readonly node: CallNode;
  readonly pointFunction: PointFunction;
  readonly vector: Operator;
  readonly scalars: readonly Operator[];
}

/** `abs`, `clamp`, `histogram_count` …: changes each sample by itself. */
export class PointCallOperator implements Operator {
  readonly #parts: PointCallParts;
  readonly #run: QueryRun;
  readonly #context: KernelContext;
  #args: readonly Float64Array[] = [];
  #input: readonly OutputSeries[] = [];
  #merged: MergedSeries | undefined;

  constructor(parts: PointCallParts, run: QueryRun) {
    this.#parts = parts;
    this.#run = run;
    const { args, position } = parts.node;
    const argPosition = { ...(args[0]?.position ?? position), speaker: position };
    this.#context = { annotations: run.annotations, metricName: '', argPosition };
  }

  async open(): Promise<readonly OutputSeries[]> {
    const { vector, scalars, node } = this.#parts;
    const [input] = await Promise.all([vector.open(), ...scalars.map((arg) => arg.open())]);
    this.#args = scalars.map((arg) => readScalar(arg, node.grid.steps));
    this.#input = input;
    this.#merged = new MergedSeries(input.map(this.#rename));
    return this.#merged.series;
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#parts.vector.readAhead?.(this.#merged!.inputsOf(order));
  }

  read(index: number, into: StepColumn): void {
    this.#merged!.read(index, into, this.#readInput);
  }

  readonly #readInput = (index: number, into: StepColumn): void => {
    const { vector, pointFunction } = this.#parts;
    vector.read(index, into);
    this.#context.metricName = this.#input[index]!.labels.get(METRIC_NAME);
    pointFunction.kernel(into, this.#args, this.#context);
    this.#run.spend(into.steps / 2);
  };

  readonly #rename = ({ labels }: OutputSeries): OutputSeries => {
    if (this.#run.delayedNameRemoval) return { labels, dropName: true };
    const { drops } = this.#parts.pointFunction;
    const renamed = drops === 'name' ? labels.with(METRIC_NAME, '') : withoutMetadata(labels);
    return { labels: renamed, dropName: true };
  };
}
