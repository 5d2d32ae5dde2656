import { CorruptionError } from '#/lib/errors.ts';
import { SymbolList } from './symbol-list.ts';
import type { SymbolTable } from './symbols.ts';

export interface MergedSymbols {
  readonly symbols: SymbolList;
  /** By input, and by the number of a symbol there: its number among the merged. */
  readonly numbers: readonly Uint32Array[];
}

/**
 * All symbols of the tables in order, each once. No text is made of them: bytes are compared and
 * copied.
 * @throws CorruptionError if those of a table are not in order.
 */
export function mergeSymbols(tables: readonly SymbolTable[]): MergedSymbols {
  const symbols = new SymbolList();
  const cursors = tables.map((table) => new SymbolCursor(table));
  for (;;) {
    let least: SymbolCursor | undefined;
    for (const cursor of cursors) {
      if (cursor.isAtEnd) continue;
      if (least === undefined || compareTexts(cursor, least) < 0) least = cursor;
    }
    if (least === undefined) break;
    const { bytes, start, textStart, textEnd } = least;
    const number = symbols.length;
    symbols.appendRecord(bytes, start, textEnd);
    for (const cursor of cursors) {
      if (cursor.isAtEnd || !isText(cursor, bytes, textStart, textEnd)) continue;
      cursor.numbers[cursor.number] = number;
      cursor.advance();
    }
  }
  return { symbols, numbers: cursors.map(({ numbers }) => numbers) };
}

/** One symbol of a table after the other. */
class SymbolCursor {
  readonly bytes: Uint8Array;
  readonly numbers: Uint32Array;
  number = 0;
  /** Of the symbol at hand: where its length stands, and its text. */
  start = 0;
  textStart = 0;
  textEnd: number;

  constructor({ contents, size }: SymbolTable) {
    this.bytes = contents;
    this.numbers = new Uint32Array(size);
    this.textEnd = FIRST_SYMBOL;
    this.#read();
  }

  get isAtEnd(): boolean {
    return this.number >= this.numbers.length;
  }

  advance(): void {
    const { textStart, textEnd } = this;
    this.number++;
    this.#read();
    if (!this.isAtEnd && this.#comparedTo(textStart, textEnd) <= 0) {
      throw new CorruptionError(`index symbols: symbol ${this.number} is not after the one before`);
    }
  }

  /** The table has checked that its symbols lie within it. */
  #read(): void {
    if (this.isAtEnd) return;
    this.start = this.textEnd;
    let length = 0;
    let at = this.start;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.bytes[at++]!;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    this.textStart = at;
    this.textEnd = at + length;
  }

  #comparedTo(start: number, end: number): number {
    return compareBytes(this.bytes, this.textStart, this.textEnd, this.bytes, start, end);
  }
}

/** Behind the count. */
const FIRST_SYMBOL = 4;

function compareTexts(a: SymbolCursor, b: SymbolCursor): number {
  return compareBytes(a.bytes, a.textStart, a.textEnd, b.bytes, b.textStart, b.textEnd);
}

function isText(cursor: SymbolCursor, bytes: Uint8Array, start: number, end: number): boolean {
  if (cursor.textEnd - cursor.textStart !== end - start) return false;
  return compareBytes(cursor.bytes, cursor.textStart, cursor.textEnd, bytes, start, end) === 0;
}

function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  for (let i = 0; i < shared; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}
