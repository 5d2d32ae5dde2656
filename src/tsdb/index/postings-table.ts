import { ByteReader } from '#/lib/byte-reader.ts';
import { compareUtf8 } from '#/lib/utf8.ts';

/** Every how many values of a name the place of one is kept in memory. */
const SAMPLING = 32;

/**
 * Where a postings list stands in the index file: it begins at `start` with its length word, and ends
 * (its checksum and padding included) before `end`.
 */
export interface PostingsRange {
  readonly start: number;
  readonly end: number;
}

/** Which lists of postings an index has, by name and value of the label; `('', '')` is that of all series. */
export interface PostingsTable {
  /** Label names in byte order, without `''`. */
  names(): readonly string[];
  /** The values of a label in byte order; empty if the index does not have the label. */
  values(name: string): string[];
  /** `undefined` if no series has this label. */
  find(name: string, value: string): PostingsRange | undefined;
}

/**
 * Opens the contents of a postings offset table:
 *
 *     count <4 bytes> | (2 <uvarint>, name <string>, value <string>, offset <uvarint>) per list
 *
 * `lastEnd` is where the last list ends. Version 2 is sorted as the lists are, and only every 32nd
 * value is kept in memory; version 1 is not sorted and read whole.
 * @throws CorruptionError if it is damaged.
 */
export function openPostingsTable(
  contents: Uint8Array,
  version: 1 | 2,
  place: { readonly base: number; readonly lastEnd: number },
): PostingsTable {
  return version === 1
    ? new UnsortedTable(contents, place.base, place.lastEnd)
    : new SampledTable(contents, place.base, place.lastEnd);
}

/** The entries of one name stand in a row. Places are offsets in the contents. */
interface NameEntries {
  readonly firstPlace: number;
  /** Bytes from the beginning of an entry to its value. */
  readonly prefixBytes: number;
  readonly sampledValues: string[];
  readonly sampledPlaces: number[];
  count: number;
}

class SampledTable implements PostingsTable {
  readonly #contents: Uint8Array;
  readonly #base: number;
  readonly #lastEnd: number;
  readonly #names = new Map<string, NameEntries>();

  constructor(contents: Uint8Array, base: number, lastEnd: number) {
    this.#contents = contents;
    this.#base = base;
    this.#lastEnd = lastEnd;
    const reader = this.#readerAt(0);
    let name: string | undefined;
    let nameBytes: Uint8Array = new Uint8Array(0);
    let entries: NameEntries | undefined;
    for (let left = reader.uint32(); left > 0; left--) {
      const place = reader.offset;
      const keys = reader.uvarint();
      if (keys !== 2) throw reader.error('2 strings in an entry', `${keys}`, place);
      const bytes = reader.bytes(reader.uvarint());
      const prefixBytes = reader.offset - place;
      if (entries === undefined || !sameBytes(bytes, nameBytes)) {
        const next = new ByteReader(contents, place + 1, 'index postings table', base).string();
        if (name !== undefined && compareUtf8(name, next) >= 0) {
          throw reader.error(`a name after "${name}"`, `"${next}"`, place);
        }
        name = next;
        nameBytes = bytes;
        entries = {
          firstPlace: place,
          prefixBytes,
          sampledValues: [],
          sampledPlaces: [],
          count: 0,
        };
        this.#names.set(name, entries);
      }
      if (entries.count % SAMPLING === 0) {
        entries.sampledPlaces.push(place);
        entries.sampledValues.push(reader.string());
      } else {
        reader.skip(reader.uvarint());
      }
      reader.uvarint();
      entries.count++;
    }
  }

  names(): readonly string[] {
    return [...this.#names.keys()].filter((name) => name !== '');
  }

  values(name: string): string[] {
    const entries = this.#names.get(name);
    if (entries === undefined) return [];
    const reader = this.#readerAt(entries.firstPlace);
    const values: string[] = [];
    for (let i = 0; i < entries.count; i++) {
      reader.skip(entries.prefixBytes);
      values.push(reader.string());
      reader.uvarint();
    }
    return values;
  }

  find(name: string, value: string): PostingsRange | undefined {
    const entries = this.#names.get(name);
    if (entries === undefined) return undefined;
    const sample = lastAtMost(entries.sampledValues, value);
    if (sample < 0) return undefined;
    const reader = this.#readerAt(entries.sampledPlaces[sample]!);
    const last = Math.min((sample + 1) * SAMPLING, entries.count);
    for (let i = sample * SAMPLING; i < last; i++) {
      reader.skip(entries.prefixBytes);
      const found = reader.string() === value;
      const start = reader.uvarint();
      if (found) return this.#range(start, reader);
    }
    return undefined;
  }

  /** The next entry, of whatever name, tells where the list ends. */
  #range(start: number, reader: ByteReader): PostingsRange {
    if (reader.remaining === 0) return this.#checked(start, this.#lastEnd, reader);
    reader.uvarint();
    reader.skip(reader.uvarint());
    reader.skip(reader.uvarint());
    return this.#checked(start, reader.uvarint(), reader);
  }

  #checked(start: number, end: number, reader: ByteReader): PostingsRange {
    if (end < start + 12 || end > this.#lastEnd) {
      throw reader.error(`a list inside the file`, `a list from ${start} to ${end}`);
    }
    return { start, end };
  }

  #readerAt(place: number): ByteReader {
    return new ByteReader(this.#contents, place, 'index postings table', this.#base);
  }
}

class UnsortedTable implements PostingsTable {
  readonly #values = new Map<string, Map<string, PostingsRange>>();

  constructor(contents: Uint8Array, base: number, lastEnd: number) {
    const reader = new ByteReader(contents, 0, 'index postings table', base);
    const entries: { name: string; value: string; start: number }[] = [];
    for (let left = reader.uint32(); left > 0; left--) {
      const keys = reader.uvarint();
      if (keys !== 2) throw reader.error('2 strings in an entry', `${keys}`);
      entries.push({ name: reader.string(), value: reader.string(), start: reader.uvarint() });
    }
    entries.sort((a, b) => a.start - b.start);
    for (const [i, { name, value, start }] of entries.entries()) {
      const end = entries[i + 1]?.start ?? lastEnd;
      let values = this.#values.get(name);
      if (values === undefined) this.#values.set(name, (values = new Map()));
      values.set(value, { start, end });
    }
  }

  names(): readonly string[] {
    return [...this.#values.keys()].filter((name) => name !== '').sort(compareUtf8);
  }

  values(name: string): string[] {
    return [...(this.#values.get(name)?.keys() ?? [])].sort(compareUtf8);
  }

  find(name: string, value: string): PostingsRange | undefined {
    return this.#values.get(name)?.get(value);
  }
}

/** Index of the last of the sorted texts that is not after `text`; -1 if all are. */
function lastAtMost(sorted: readonly string[], text: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareUtf8(sorted[middle]!, text) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
