import { EvaluationError } from '../evaluation-error.ts';
import { quote } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { AggregateNode } from '../planner/nodes.ts';
import { StepColumn } from '../step-column.ts';
import { groupLabels } from './grouping.ts';
import type { Operator, OutputSeries } from './operator.ts';
import type { QueryRun } from './query-run.ts';
import { columnBytes } from './query-run.ts';
import { formatPlain } from '#/lib/float-text.ts';
import { formatHistogram } from '#/model/histogram.ts';

/** `count_values("label", v)`: how often each value occurs. Folded at opening, a column a value. */
export class CountValuesOperator implements Operator {
  readonly #node: AggregateNode;
  readonly #label: string;
  readonly #input: Operator;
  readonly #run: QueryRun;
  readonly #labelsOf: (labels: Labels) => Labels;
  readonly #outputs = new Map<string, { labels: Labels; column: StepColumn }>();
  #columns: readonly StepColumn[] = [];

  constructor(node: AggregateNode, label: string, input: Operator, run: QueryRun) {
    if (label === '' || !label.isWellFormed())
      throw new EvaluationError(`invalid label name ${quote(label)}`);
    this.#node = node;
    this.#label = label;
    this.#input = input;
    this.#run = run;
    const { without, grouping } = node;
    this.#labelsOf = groupLabels({ without, grouping: without ? grouping : [...grouping, label] });
  }

  async open(): Promise<readonly OutputSeries[]> {
    const series = await this.#input.open();
    await this.#input.readAhead?.([...series.keys()]);
    const column = new StepColumn(this.#node.grid.steps);
    for (const [index, { labels }] of series.entries()) {
      this.#input.read(index, column);
      this.#count(column, labels);
      this.#run.spend(10 * column.steps);
      if (this.#run.isDue) await this.#run.pause();
    }
    const outputs = [...this.#outputs.values()];
    this.#columns = outputs.map((output) => output.column);
    return outputs.map(({ labels }) => ({ labels, dropName: false }));
  }

  read(index: number, into: StepColumn): void {
    into.copyFrom(this.#columns[index]!);
  }

  #count(column: StepColumn, labels: Labels): void {
    const byValue = new Map<string, StepColumn>();
    for (let step = 0; step < column.steps; step++) {
      if (column.present[step] === 0) continue;
      const histogram = column.histograms?.[step];
      const text =
        histogram === undefined ? formatPlain(column.values[step]!) : formatHistogram(histogram);
      let counts = byValue.get(text);
      if (counts === undefined) {
        counts = this.#output(this.#labelsOf(labels.with(this.#label, text)));
        byValue.set(text, counts);
      }
      counts.setFloat(step, counts.present[step] === 0 ? 1 : counts.values[step]! + 1);
    }
  }

  #output(labels: Labels): StepColumn {
    let output = this.#outputs.get(labels.key);
    if (output === undefined) {
      const { steps } = this.#node.grid;
      this.#run.reserve(columnBytes(steps));
      this.#run.holdSamples(steps);
      output = { labels, column: new StepColumn(steps) };
      this.#outputs.set(labels.key, output);
    }
    return output.column;
  }
}
