/** Series of lists that are put together at once: 16 MB of them. */
const IDS_AT_ONCE = 4 * 1024 * 1024;
const NONE = -1;

/** The series with a label; name and value are numbers of symbols. */
export interface PostingsList {
  readonly name: number;
  readonly value: number;
  /** Ascending; a view that the next list overwrites. */
  readonly series: Uint32Array;
}

/**
 * Collects the labels of series as they are written, and gives for each label the series that have it.
 * Takes four bytes for each label of each series, and some forty for each different label.
 */
export class PostingsCollector {
  /** The labels of all series, one series behind the other: how many, then their numbers here. */
  readonly #labels = new Uint32Column();
  readonly #series = new Uint32Column();
  /** Different labels in order of appearance. */
  readonly #names = new Uint32Column();
  readonly #values = new Uint32Column();
  readonly #counts = new Uint32Column();
  /** A hash table of label numbers with open addressing, at most half full. */
  #slots = new Int32Array(4096).fill(NONE);

  /** Series come in ascending order. `symbols` has the name and the value of each label in turn. */
  add(series: number, symbols: readonly number[], length: number): void {
    this.#series.push(series);
    this.#labels.push(length / 2);
    for (let i = 0; i < length; i += 2) {
      const label = this.#labelOf(symbols[i]!, symbols[i + 1]!);
      this.#counts.set(label, this.#counts.get(label) + 1);
      this.#labels.push(label);
    }
  }

  get isEmpty(): boolean {
    return this.#series.length === 0;
  }

  /** All series. */
  all(): Uint32Array {
    const all = new Uint32Array(this.#series.length);
    for (let i = 0; i < all.length; i++) all[i] = this.#series.get(i);
    return all;
  }

  /** Different labels. */
  get size(): number {
    return this.#names.length;
  }

  /** The lists in the order of names, then values. */
  *lists(): Generator<PostingsList, void> {
    const order = this.#inOrder();
    for (let start = 0; start < order.length;) {
      let end = start;
      let ids = 0;
      while (end < order.length && (end === start || ids < IDS_AT_ONCE)) {
        ids += this.#counts.get(order[end++]!);
      }
      yield* this.#listsOf(order.subarray(start, end), ids);
      start = end;
    }
  }

  *#listsOf(labels: Uint32Array, length: number): Generator<PostingsList, void> {
    const ids = new Uint32Array(length);
    const places = new Int32Array(this.size).fill(NONE);
    let place = 0;
    for (const label of labels) {
      places[label] = place;
      place += this.#counts.get(label);
    }
    for (let i = 0, at = 0; i < this.#series.length; i++) {
      const series = this.#series.get(i);
      for (let left = this.#labels.get(at++); left > 0; left--) {
        const label = this.#labels.get(at++);
        if (places[label] !== NONE) ids[places[label]!++] = series;
      }
    }
    place = 0;
    for (const label of labels) {
      const [name, value] = [this.#names.get(label), this.#values.get(label)];
      const end = place + this.#counts.get(label);
      yield { name, value, series: ids.subarray(place, end) };
      place = end;
    }
  }

  /** Sorted as doubles: native code does that, and needs no callback. */
  #inOrder(): Uint32Array {
    const names = new Set<number>();
    for (let label = 0; label < this.size; label++) names.add(this.#names.get(label));
    const sortedNames = Float64Array.from(names).sort();
    const ranks = new Map(Array.from(sortedNames, (name, rank) => [name, rank]));
    const keys = new Float64Array(this.size);
    for (let label = 0; label < this.size; label++) {
      keys[label] = ranks.get(this.#names.get(label))! * 2 ** 32 + this.#values.get(label);
    }
    keys.sort();
    const order = new Uint32Array(this.size);
    for (let i = 0; i < keys.length; i++) {
      const rank = Math.floor(keys[i]! / 2 ** 32);
      order[i] = this.#labelOf(sortedNames[rank]!, keys[i]! - rank * 2 ** 32);
    }
    return order;
  }

  /** The number of a label, which may be new. */
  #labelOf(name: number, value: number): number {
    for (let slot = hashOf(name, value); ; slot++) {
      const place = slot & (this.#slots.length - 1);
      const label = this.#slots[place]!;
      if (label === NONE) return this.#newLabel(name, value, place);
      if (this.#values.get(label) === value && this.#names.get(label) === name) return label;
    }
  }

  #newLabel(name: number, value: number, place: number): number {
    const label = this.size;
    this.#names.push(name);
    this.#values.push(value);
    this.#counts.push(0);
    this.#slots[place] = label;
    if (2 * this.size > this.#slots.length) this.#grow();
    return label;
  }

  #grow(): void {
    const slots = new Int32Array(2 * this.#slots.length).fill(NONE);
    for (let label = 0; label < this.size; label++) {
      let slot = hashOf(this.#names.get(label), this.#values.get(label));
      while (slots[slot & (slots.length - 1)] !== NONE) slot++;
      slots[slot & (slots.length - 1)] = label;
    }
    this.#slots = slots;
  }
}

function hashOf(name: number, value: number): number {
  const mixed = Math.imul(name, 0x9e3779b1) ^ Math.imul(value, 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

const BLOCK_BITS = 13;
const BLOCK_LENGTH = 1 << BLOCK_BITS;

/** A growing column in blocks: nothing is copied as it grows, and little is taken in advance. */
class Uint32Column {
  readonly #blocks: Uint32Array[] = [];
  length = 0;

  push(value: number): void {
    const at = this.length++;
    if (at === this.#blocks.length * BLOCK_LENGTH) this.#blocks.push(new Uint32Array(BLOCK_LENGTH));
    this.#blocks[at >>> BLOCK_BITS]![at & (BLOCK_LENGTH - 1)] = value;
  }

  get(at: number): number {
    return this.#blocks[at >>> BLOCK_BITS]![at & (BLOCK_LENGTH - 1)]!;
  }

  set(at: number, value: number): void {
    this.#blocks[at >>> BLOCK_BITS]![at & (BLOCK_LENGTH - 1)] = value;
  }
}
