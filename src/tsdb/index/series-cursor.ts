import type { Postings } from '../postings.ts';
import { SeriesEntry } from './series-entry.ts';

/** Where the entries of a cursor are read. */
export interface SeriesSource {
  /** Where the entry of a series begins. */
  offsetOf(series: number): number;
  /** Bytes from the entry of the series at `index` of the list on. */
  window(index: number): Promise<Uint8Array>;
  /** The body of an entry that is longer than its window. */
  longBody(offset: number): Promise<Uint8Array>;
}

/**
 * Goes from series to series of an index:
 *
 *     while (cursor.next() || (await cursor.load())) use(cursor.entry);
 *
 * Most steps need no reading, and so no promise.
 */
export class SeriesCursor {
  /** Reused from series to series. */
  readonly entry = new SeriesEntry();
  readonly #list: Postings;
  readonly #source: SeriesSource;
  #index = -1;
  #window: Uint8Array = new Uint8Array(0);
  #base = 0;

  /** `list` ascends. */
  constructor(list: Postings, source: SeriesSource) {
    this.#list = list;
    this.#source = source;
  }

  /** The number of the series at hand. */
  get series(): number {
    return this.#list[this.#index]!;
  }

  /** To the next series if it is at hand; else `load()` goes there. */
  next(): boolean {
    const index = this.#index + 1;
    if (index >= this.#list.length) return false;
    const at = this.#source.offsetOf(this.#list[index]!) - this.#base;
    if (at < 0 || at >= this.#window.length) return false;
    if (!this.entry.decodeAt(this.#window, at, this.#base)) return false;
    this.#index = index;
    return true;
  }

  /** Reads the next series and goes there; `false` at the end. */
  async load(): Promise<boolean> {
    const index = this.#index + 1;
    if (index >= this.#list.length) return false;
    this.#base = this.#source.offsetOf(this.#list[index]!);
    this.#window = await this.#source.window(index);
    if (!this.entry.decodeAt(this.#window, 0, this.#base)) {
      this.entry.decode(await this.#source.longBody(this.#base), this.#base);
    }
    this.#index = index;
    return true;
  }
}
