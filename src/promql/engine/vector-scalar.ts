import type { BinaryNode } from '../planner/nodes.ts';
import type { StepColumn } from '../step-column.ts';
import { MergedSeries } from './merged-series.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { unnamed } from './relabel.ts';
import { SampleOperation } from './sample-operation.ts';
import { readScalar } from './scalar.ts';

export interface VectorScalarParts {
  readonly node: BinaryNode;
  readonly vector: Operator;
  readonly scalar: Operator;
  /** The scalar is the left operand. */
  readonly scalarFirst: boolean;
}

/** A binary operator between a vector and a scalar. */
export class VectorScalarOperator implements Operator {
  readonly #parts: VectorScalarParts;
  readonly #run: QueryRun;
  readonly #operation: SampleOperation;
  #scalar: Float64Array = new Float64Array(0);
  #merged: MergedSeries | undefined;

  constructor(parts: VectorScalarParts, run: QueryRun) {
    this.#parts = parts;
    this.#run = run;
    const { operator, position } = parts.node;
    this.#operation = new SampleOperation(operator, run.annotations, position);
  }

  async open(): Promise<readonly OutputSeries[]> {
    const { node, vector, scalar } = this.#parts;
    const [series] = await Promise.all([vector.open(), scalar.open()]);
    this.#scalar = readScalar(scalar, node.grid.steps);
    const isOther = this.#operation.float !== undefined || node.returnBool;
    const drop = unnamed(this.#run.delayedNameRemoval);
    this.#merged = new MergedSeries(isOther ? series.map(drop) : series);
    return this.#merged.series;
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#parts.vector.readAhead?.(this.#merged!.inputsOf(order));
  }

  read(index: number, into: StepColumn): void {
    this.#merged!.read(index, into, this.#readInput);
  }

  readonly #readInput = (index: number, into: StepColumn): void => {
    this.#parts.vector.read(index, into);
    this.#run.spend(into.steps / 4);
    const { scalarFirst, node } = this.#parts;
    const { float } = this.#operation;
    if (into.histograms !== undefined || float === undefined) {
      for (let step = 0; step < into.steps; step++) {
        if (into.present[step] === 1) this.#applyAt(step, into);
      }
    } else {
      const { values } = into;
      const scalar = this.#scalar;
      if (scalarFirst) {
        for (let i = 0; i < node.grid.steps; i++) values[i] = float(scalar[i]!, values[i]!);
      } else {
        for (let i = 0; i < node.grid.steps; i++) values[i] = float(values[i]!, scalar[i]!);
      }
    }
  };

  #applyAt(step: number, into: StepColumn): void {
    const { scalarFirst, node } = this.#parts;
    const operation = this.#operation;
    const scalar = this.#scalar[step]!;
    const value = into.values[step]!;
    const histogram = into.histograms?.[step];
    const outcome = scalarFirst
      ? operation.apply(scalar, undefined, value, histogram)
      : operation.apply(value, histogram, scalar, undefined);
    if (outcome === 'unfit') into.remove(step);
    else if (node.returnBool) into.setFloat(step, outcome === 'kept' ? 1 : 0);
    else if (outcome === 'dropped') into.remove(step);
    // A comparison keeps the vector's sample, whichever side it is on: it is there already.
    else if (operation.compare === undefined) putResult(operation, step, into);
  }
}

/** Writes what `operation` has just kept. */
export function putResult(operation: SampleOperation, step: number, into: StepColumn): void {
  if (operation.histogram === undefined) into.setFloat(step, operation.value);
  else into.setHistogram(step, operation.histogram);
}
