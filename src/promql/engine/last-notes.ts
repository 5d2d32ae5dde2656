import type { Annotations } from '../annotations.ts';
import type { PositionRange } from '../ast.ts';

interface Note {
  readonly kind: 'warn' | 'info';
  readonly text: string;
  readonly position: PositionRange;
}

/**
 * The annotations of a join. Prometheus keeps one at every step, of the last pair of samples that
 * had any; pairs are counted in its order, here by `at()`. The order of reading does not matter.
 */
export class LastNotes implements Pick<Annotations, 'warn' | 'info'> {
  readonly #steps: number;
  #ranks: Int32Array | undefined;
  readonly #notes = new Map<number, Note>();
  #step = 0;
  #rank = 0;

  constructor(steps: number, annotations: Annotations) {
    this.#steps = steps;
    annotations.atEnd(() => {
      for (const { kind, text, position } of this.#notes.values()) {
        annotations[kind](text, position);
      }
    });
  }

  /** Says which pair the next annotations are about; of a step, those of the highest rank stay. */
  at(step: number, rank: number): void {
    this.#step = step;
    this.#rank = rank;
  }

  warn(text: string, position: PositionRange): void {
    this.#keep({ kind: 'warn', text, position });
  }

  info(text: string, position: PositionRange): void {
    this.#keep({ kind: 'info', text, position });
  }

  #keep(note: Note): void {
    this.#ranks ??= new Int32Array(this.#steps).fill(-1);
    if (this.#rank < this.#ranks[this.#step]!) return;
    this.#ranks[this.#step] = this.#rank;
    this.#notes.set(this.#step, note);
  }
}
