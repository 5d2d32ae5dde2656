import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';

/**
 * Puts the series of an index, which come in the order of their own labels, in the order of their
 * completed ones. External labels of names that no series has leave the order of two series alone,
 * except where one's labels are the beginning of the other's: `{a="1"}` comes before `{a="1", b="2"}`,
 * but with `c="3"` behind it. So only what others continue is held back, and only until something
 * greater comes: no more series than a series has labels.
 */
export class LabelOrder<T extends { readonly labels: Labels }> {
  #held: T[] = [];

  /** Takes the next series of the index; returns those that nothing can come before any more. */
  push(next: T): T[] {
    const free: T[] = [];
    const kept: T[] = [];
    for (const one of this.#held) {
      (compareLabels(one.labels, next.labels) < 0 ? free : kept).push(one);
    }
    kept.push(next);
    this.#held = kept;
    return free.sort((a, b) => compareLabels(a.labels, b.labels));
  }

  /** Exchanges what is held back for what `change` makes of it, of equal labels. */
  replaceHeld(change: (held: T) => T): void {
    this.#held = this.#held.map(change);
  }

  /** What is left when nothing more comes. */
  rest(): T[] {
    return this.#held.sort((a, b) => compareLabels(a.labels, b.labels));
  }
}
