import { ByteReader } from '#/lib/byte-reader.ts';
import { ByteWriter } from '#/lib/byte-writer.ts';
import { assert } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';

/** Places are kept as 32-bit numbers, and the format has no room for more. */
const MAX_BYTES = 2 ** 32 - 1;

/**
 * The symbols of an index that is written, one behind the other as they will stand in it:
 * `length <uvarint>, UTF-8` each. They are known by their numbers, in the order of their bytes.
 */
export class SymbolList {
  readonly #records = new ByteWriter(4096);
  #places = new Uint32Array(1024);
  length = 0;

  /** `texts` are sorted by bytes, each once. */
  static of(texts: Iterable<string>): SymbolList {
    const list = new SymbolList();
    let previous: string | undefined;
    for (const text of texts) {
      assert(
        previous === undefined || compareUtf8(previous, text) < 0,
        'symbols must be sorted and each occur once',
      );
      previous = text;
      list.#place();
      list.#records.string(text);
    }
    return list;
  }

  /** Appends the symbol that stands in `bytes` as it will stand here; it comes after all others. */
  appendRecord(bytes: Uint8Array, from: number, to: number): void {
    this.#place();
    this.#records.range(bytes, from, to);
  }

  /** All of them: a view. */
  get records(): Uint8Array {
    return this.#records.written();
  }

  /** The length and the text of one: a view. */
  record(symbol: number): Uint8Array {
    const end = symbol + 1 < this.length ? this.#places[symbol + 1]! : this.#records.length;
    return this.#records.written().subarray(this.#places[symbol]!, end);
  }

  /** The numbers of all symbols by their texts. */
  numbers(): ReadonlyMap<string, number> {
    const reader = new ByteReader(this.#records.written());
    return new Map(Array.from({ length: this.length }, (_, number) => [reader.string(), number]));
  }

  #place(): void {
    assert(this.#records.length <= MAX_BYTES, 'an index has at most 4 GiB of symbols');
    if (this.length === this.#places.length) {
      const larger = new Uint32Array(2 * this.length);
      larger.set(this.#places);
      this.#places = larger;
    }
    this.#places[this.length++] = this.#records.length;
  }
}
