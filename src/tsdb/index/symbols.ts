import { ByteReader } from '#/lib/byte-reader.ts';
import { compareUtf8 } from '#/lib/utf8.ts';

/** Every how many symbols the place of one is kept; the ones between are found by walking. */
const SAMPLING = 32;
/** Slots of the cache of looked-up symbols, unless its owner says otherwise; a power of two. */
const CACHE_SLOTS = 1024;

/**
 * The symbols of an index: all names and values of labels, sorted, each once. Only every 32nd place
 * is kept; texts are made when they are asked for.
 *
 *     count <4 bytes> | (length <uvarint>, UTF-8) per symbol
 *
 * In an index of version 2 a reference is the symbol's number, in version 1 its offset in the file.
 */
export class SymbolTable {
  /** The section's: the count, then the symbols. */
  readonly contents: Uint8Array;
  readonly #places: Uint32Array;
  readonly #version: 1 | 2;
  readonly #base: number;
  readonly #cacheSlots: number;
  /** Made at the first look-up. */
  #cachedRefs = new Float64Array(0);
  #cachedTexts: string[] = [];
  /** By the references of version 1. */
  #numbers: ReadonlyMap<number, number> | undefined;
  readonly size: number;

  /** `base` is the offset of `contents` in the index file. `cacheSlots`
   * is a power of two. @throws CorruptionError if it is damaged. */
  constructor(contents: Uint8Array, version: 1 | 2, base: number, cacheSlots = CACHE_SLOTS) {
    this.contents = contents;
    this.#version = version;
    this.#base = base;
    const reader = this.#readerAt(0);
    this.size = reader.uint32();
    if (this.size > reader.remaining) {
      throw reader.error('a count of symbols that fits the section', `${this.size}`, 0);
    }
    this.#places = new Uint32Array(Math.ceil(this.size / SAMPLING));
    for (let i = 0; i < this.size; i++) {
      if (i % SAMPLING === 0) this.#places[i / SAMPLING] = reader.offset;
      reader.skip(reader.uvarint());
    }
    this.#cacheSlots = Math.min(cacheSlots, 2 ** Math.ceil(Math.log2(this.size + 1)));
  }

  /** @throws CorruptionError if there is no such symbol: the reference came from a damaged entry. */
  lookup(ref: number): string {
    if (this.#cachedRefs.length === 0) this.#makeCache();
    const slot = ref & (this.#cacheSlots - 1);
    if (this.#cachedRefs[slot] === ref) return this.#cachedTexts[slot]!;
    const text = this.#version === 1 ? this.#textAtOffset(ref) : this.#textOf(ref);
    this.#cachedRefs[slot] = ref;
    this.#cachedTexts[slot] = text;
    return text;
  }

  /** The number of a symbol, or `undefined` if the index does not have it. Version 2 only. */
  find(text: string): number | undefined {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareUtf8(this.#readerAt(this.#places[middle]!).string(), text) <= 0) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return undefined;
    const first = (low - 1) * SAMPLING;
    const reader = this.#readerAt(this.#places[low - 1]!);
    const end = Math.min(first + SAMPLING, this.size);
    for (let ref = first; ref < end; ref++) if (reader.string() === text) return ref;
    return undefined;
  }

  /** All symbols in order. */
  *[Symbol.iterator](): Iterator<string> {
    const reader = this.#readerAt(4);
    for (let i = 0; i < this.size; i++) yield reader.string();
  }

  /** Whether the first symbol is the empty text. */
  get hasEmpty(): boolean {
    return this.size > 0 && this.contents[4] === 0;
  }

  /** The number of the symbol that `ref` stands for. @throws CorruptionError if there is none. */
  numberOf(ref: number): number {
    if (this.#version === 1) this.#numbers ??= this.#numbersByOffset();
    const number = this.#version === 1 ? this.#numbers!.get(ref) : ref;
    if (number !== undefined && number < this.size) return number;
    throw this.#readerAt(0).error(`one of ${this.size} symbols`, `a reference to ${ref}`, 0);
  }

  #numbersByOffset(): Map<number, number> {
    const numbers = new Map<number, number>();
    const reader = this.#readerAt(4);
    for (let number = 0; number < this.size; number++) {
      numbers.set(this.#base + reader.offset, number);
      reader.skip(reader.uvarint());
    }
    return numbers;
  }

  #makeCache(): void {
    this.#cachedRefs = new Float64Array(this.#cacheSlots).fill(-1);
    this.#cachedTexts = Array.from({ length: this.#cacheSlots }, () => '');
  }

  #textOf(ref: number): string {
    if (!(ref < this.size)) {
      throw this.#readerAt(0).error(`a symbol below ${this.size}`, `a reference to ${ref}`, 0);
    }
    const reader = this.#readerAt(this.#places[Math.floor(ref / SAMPLING)]!);
    for (let skip = ref % SAMPLING; skip > 0; skip--) reader.skip(reader.uvarint());
    return reader.string();
  }

  #textAtOffset(ref: number): string {
    return this.#readerAt(ref - this.#base).string();
  }

  #readerAt(offset: number): ByteReader {
    return new ByteReader(this.contents, offset, 'index symbols', this.#base);
  }
}
