import { StepColumn } from '../step-column.ts';
import type { Operator, OutputSeries } from './operator.ts';

/** Repeats what its expression is at one step over all steps. */
export class StepInvariantOperator implements Operator {
  readonly #expression: Operator;
  readonly #once = new StepColumn(1);

  constructor(expression: Operator) {
    this.#expression = expression;
  }

  open(): Promise<readonly OutputSeries[]> {
    return this.#expression.open();
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#expression.readAhead?.(order);
  }

  read(index: number, into: StepColumn): void {
    this.#expression.read(index, this.#once);
    into.clear();
    if (this.#once.present[0] === 0) return;
    const histogram = this.#once.histograms?.[0];
    for (let step = 0; step < into.steps; step++) {
      if (histogram === undefined) into.setFloat(step, this.#once.values[0]!);
      else into.setHistogram(step, histogram);
    }
  }
}
