import type { LabelSymbols } from '#/tsdb/index-writer.ts';
import { compareSymbols } from './merge-input.ts';
import type { MergeInput } from './merge-input.ts';

/** Goes through several blocks at once, in the order of labels. */
export class SeriesMerge {
  /** Inputs with a series at hand. */
  readonly #inputs: MergeInput[];
  #started = false;
  /** Those that have the series at hand, in their order. */
  readonly parts: MergeInput[] = [];

  constructor(inputs: readonly MergeInput[]) {
    this.#inputs = [...inputs];
  }

  /** Of the series at hand. */
  get labels(): LabelSymbols {
    return this.parts[0]!.labels;
  }

  /** To the next series; `false` at the end. */
  async next(): Promise<boolean> {
    const past = this.#started ? this.parts : this.#inputs.slice();
    this.#started = true;
    for (const input of past) {
      if (!input.next() && !(await input.load()))
        this.#inputs.splice(this.#inputs.indexOf(input), 1);
    }
    this.parts.length = 0;
    for (const input of this.#inputs) {
      const order = this.parts.length === 0 ? -1 : compareSymbols(input.labels, this.labels);
      if (order < 0) this.parts.length = 0;
      if (order <= 0) this.parts.push(input);
    }
    return this.parts.length > 0;
  }
}
