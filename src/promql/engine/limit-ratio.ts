import { warningTexts } from '../annotation-texts.ts';
import { EvaluationError } from '../evaluation-error.ts';
import type { AggregateNode } from '../planner/nodes.ts';
import type { StepColumn } from '../step-column.ts';
import { sampleOffset } from './label-hash.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { readUnused } from './read-unused.ts';
import { readScalar } from './scalar.ts';

/**
 * `limit_ratio(r, v)`: about the share r of the series, always the same ones; a negative r takes
 * those that 1 + r leaves over.
 */
export class LimitRatioOperator implements Operator {
  readonly #node: AggregateNode;
  readonly #input: Operator;
  readonly #parameter: Operator;
  readonly #run: QueryRun;
  #ratios: Float64Array = new Float64Array(0);
  #offsets: readonly number[] = [];

  constructor(node: AggregateNode, input: Operator, parameter: Operator, run: QueryRun) {
    this.#node = node;
    this.#input = input;
    this.#parameter = parameter;
    this.#run = run;
  }

  async open(): Promise<readonly OutputSeries[]> {
    const [series] = await Promise.all([this.#input.open(), this.#parameter.open()]);
    this.#ratios = readScalar(this.#parameter, this.#node.grid.steps);
    if (this.#ratios.every((ratio) => ratio === 0)) {
      await readUnused(this.#input, [...series.keys()], this.#node.grid.steps, this.#run);
      return [];
    }
    this.#checkRatios();
    this.#offsets = series.map(({ labels }) => sampleOffset(labels));
    return series;
  }

  async readAhead(order: readonly number[]): Promise<void> {
    await this.#input.readAhead?.(order);
  }

  read(index: number, into: StepColumn): void {
    this.#input.read(index, into);
    const offset = this.#offsets[index]!;
    for (let step = 0; step < into.steps; step++) {
      if (!isSampled(offset, this.#ratios[step]!)) into.remove(step);
    }
  }

  #checkRatios(): void {
    if (this.#ratios.some(Number.isNaN)) throw new EvaluationError('Ratio value is NaN');
    const max = this.#ratios.reduce((a, b) => Math.max(a, b));
    const min = this.#ratios.reduce((a, b) => Math.min(a, b));
    const { parameter, position: speaker } = this.#node;
    const position = { ...(parameter?.position ?? speaker), speaker };
    const { annotations } = this.#run;
    if (max > 1) annotations.warn(warningTexts.invalidRatio(max, 1), position);
    if (min < -1) annotations.warn(warningTexts.invalidRatio(min, -1), position);
  }
}

function isSampled(offset: number, ratio: number): boolean {
  if (ratio >= 0) return ratio !== 0 && offset < Math.min(1, ratio);
  return offset >= 1 + Math.max(-1, ratio);
}
