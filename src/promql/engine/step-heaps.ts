import type { StepColumn } from '../step-column.ts';

/**
 * One bounded heap a step, its worst element on top. Equal values are kept as container/heap of Go
 * would, so that ties fall the way they do in Prometheus. NaN is worse than every number.
 */
export class StepHeaps {
  readonly #values: Float64Array;
  readonly #ordinals: Int32Array;
  readonly #sizes: Int32Array;
  readonly #capacity: number;
  readonly #descending: boolean;

  constructor(steps: number, capacity: number, descending: boolean) {
    this.#values = new Float64Array(steps * capacity);
    this.#ordinals = new Int32Array(steps * capacity);
    this.#sizes = new Int32Array(steps);
    this.#capacity = capacity;
    this.#descending = descending;
  }

  /** Returns whether there was a histogram, which has no place in an order. */
  addBest(column: StepColumn, ordinal: number, limits: Int32Array): boolean {
    let sawHistogram = false;
    for (let step = 0; step < column.steps; step++) {
      if (column.present[step] === 0 || limits[step] === 0) continue;
      if (column.histograms?.[step] !== undefined) {
        sawHistogram = true;
        continue;
      }
      const value = column.values[step]!;
      const base = step * this.#capacity;
      if (this.#sizes[step]! < limits[step]!) this.#push(step, value, ordinal);
      else if (this.#isBetter(value, this.#values[base]!)) {
        this.#values[base] = value;
        this.#ordinals[base] = ordinal;
        this.#siftDown(base, this.#sizes[step]!);
      }
    }
    return sawHistogram;
  }

  /** Takes samples as long as there is room. */
  addFirst(column: StepColumn, ordinal: number, limits: Int32Array): void {
    for (let step = 0; step < column.steps; step++) {
      if (column.present[step] === 0 || this.#sizes[step]! >= limits[step]!) continue;
      const isHistogram = column.histograms?.[step] !== undefined;
      this.#push(step, isHistogram ? 0 : column.values[step]!, ordinal);
    }
  }

  /** What a step has selected, best first if `sorted`. */
  at(step: number, sorted: boolean): { ordinal: number; value: number }[] {
    const base = step * this.#capacity;
    const entries = Array.from({ length: this.#sizes[step]! }, (_, i) => ({
      ordinal: this.#ordinals[base + i]!,
      value: this.#values[base + i]!,
    }));
    if (!sorted) return entries;
    const compare = (a: { value: number }, b: { value: number }): number => {
      if (Number.isNaN(a.value) || Number.isNaN(b.value)) {
        return Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value));
      }
      return this.#descending ? a.value - b.value : b.value - a.value;
    };
    return entries.sort(compare);
  }

  #isBetter(value: number, worst: number): boolean {
    if (this.#descending ? worst > value : worst < value) return true;
    return Number.isNaN(worst) && !Number.isNaN(value);
  }

  #isWorse(a: number, b: number): boolean {
    const left = this.#values[a]!;
    const right = this.#values[b]!;
    return Number.isNaN(left) || (this.#descending ? left > right : left < right);
  }

  #push(step: number, value: number, ordinal: number): void {
    const base = step * this.#capacity;
    let child = this.#sizes[step]!++;
    this.#values[base + child] = value;
    this.#ordinals[base + child] = ordinal;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#isWorse(base + child, base + parent)) break;
      this.#swap(base + child, base + parent);
      child = parent;
    }
  }

  #siftDown(base: number, size: number): void {
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isWorse(base + child + 1, base + child)) child++;
      if (!this.#isWorse(base + child, base + parent)) break;
      this.#swap(base + child, base + parent);
      parent = child;
    }
  }

  #swap(a: number, b: number): void {
    const value = this.#values[a]!;
    const ordinal = this.#ordinals[a]!;
    this.#values[a] = this.#values[b]!;
    this.#ordinals[a] = this.#ordinals[b]!;
    this.#values[b] = value;
    this.#ordinals[b] = ordinal;
  }
}
