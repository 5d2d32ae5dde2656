import type { ListEntry } from '#/objstore/bucket.ts';

interface Change {
  readonly timeMs: number;
  readonly name: string;
  /** The entry before the change; `undefined` if there was none. */
  readonly before: ListEntry | undefined;
}

/** Longer ago than any listing lags behind. */
const KEPT_MS = 3_600_000;

/** Gives listings as they were a while ago: what clients of an eventually consistent storage see. */
export class ListingHistory {
  readonly #changes: Change[] = [];

  add(change: Change): void {
    this.#changes.push(change);
    while (this.#changes[0]!.timeMs < change.timeMs - KEPT_MS) this.#changes.shift();
  }

  /** `present`, a recursive listing below `prefix`, as it was at `timeMs`. */
  at(timeMs: number, present: readonly ListEntry[], prefix: string): ListEntry[] {
    const entries = new Map(present.map((entry) => [entry.name, entry]));
    for (let i = this.#changes.length - 1; i >= 0; i--) {
      const { timeMs: when, name, before } = this.#changes[i]!;
      if (when <= timeMs) break;
      if (!name.startsWith(prefix)) continue;
      if (before === undefined) entries.delete(name);
      else entries.set(name, before);
    }
    return [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
