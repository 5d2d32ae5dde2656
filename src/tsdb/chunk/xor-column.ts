import type { BitReader } from './bit-reader.ts';
import type { BitWriter } from './bit-writer.ts';

/**
 * One column of doubles in the XOR code, as it stands while it is read: the halves of the last value
 * and the window of bits that differ. Used where columns are woven into each other, or markers
 * into the values; plain XOR chunks have their own loop in xor.ts.
 */
export class XorColumnReader {
  high = 0;
  low = 0;
  #leading = 0;
  #trailing = 0;

  readFirst(reader: BitReader): void {
    this.high = reader.bits(32) | 0;
    this.low = reader.bits(32) | 0;
  }

  /** A later value: `0` unchanged, `10` differs in the last window, `11` in a window of its own. */
  read(reader: BitReader): void {
    const ones = reader.ones(2);
    if (ones === 1) this.readInWindow(reader);
    else if (ones === 2) this.readNewWindow(reader);
  }

  readNewWindow(reader: BitReader): void {
    this.#leading = reader.bits(5);
    const significant = reader.bits(6) || 64;
    this.#trailing = 64 - this.#leading - significant;
    if (this.#trailing < 0) {
      throw reader.damaged(
        `${this.#leading} leading and ${significant} significant bits, expected at most 64 together`,
      );
    }
    this.readInWindow(reader);
  }

  readInWindow(reader: BitReader): void {
    const significant = 64 - this.#leading - this.#trailing;
    const upper = significant > 32 ? reader.bits(significant - 32) : 0;
    const lower = reader.bits(Math.min(significant, 32));
    const shift = this.#trailing;
    if (shift >= 32) {
      this.high ^= lower << (shift - 32);
    } else {
      this.low ^= lower << shift;
      this.high ^= (upper << shift) | (shift === 0 ? 0 : lower >>> (32 - shift));
    }
  }

  get isStale(): boolean {
    return this.high === 0x7ff00000 && this.low === 2;
  }

  toNumber(): number {
    halves[0] = this.low;
    halves[1] = this.high;
    return float[0]!;
  }
}

/** What the XOR code of a column of doubles remembers: the last bits and the last window. */
export interface XorColumn {
  high: number;
  low: number;
  /** -1 until the first window is written. */
  leading: number;
  trailing: number;
}

export function newXorColumn(): XorColumn {
  return { high: 0, low: 0, leading: -1, trailing: 0 };
}

/** The first value of a column: its 64 bits. */
export function writeFirst(writer: BitWriter, column: XorColumn, high: number, low: number): void {
  column.high = high;
  column.low = low;
  writer.bits64(high, low);
}

/** A later value of a column: its difference to the one before. */
export function writeXor(writer: BitWriter, column: XorColumn, high: number, low: number): void {
  const xorHigh = high ^ column.high;
  const xorLow = low ^ column.low;
  column.high = high;
  column.low = low;
  if (xorHigh === 0 && xorLow === 0) writer.bits(0, 1);
  else writeDifference(writer, column, xorHigh, xorLow, xorCodes);
}

/** How a format announces a difference in the last window, and one in a window of its own. */
export interface WindowCodes {
  readonly inWindow: BitCode;
  readonly newWindow: BitCode;
}

interface BitCode {
  readonly bits: number;
  readonly width: number;
}

const xorCodes: WindowCodes = {
  inWindow: { bits: 0b10, width: 2 },
  newWindow: { bits: 0b11, width: 2 },
};

/** A difference that is not zero, in the last window if it fits there. */
export function writeDifference(
  writer: BitWriter,
  column: XorColumn,
  xorHigh: number,
  xorLow: number,
  { inWindow, newWindow }: WindowCodes,
): void {
  const leading = Math.min(31, xorHigh === 0 ? 32 + Math.clz32(xorLow) : Math.clz32(xorHigh));
  const trailing = xorLow === 0 ? 32 + trailingZeros(xorHigh) : trailingZeros(xorLow);
  if (column.leading >= 0 && leading >= column.leading && trailing >= column.trailing) {
    writer.bits(inWindow.bits, inWindow.width);
  } else {
    column.leading = leading;
    column.trailing = trailing;
    writer.bits(newWindow.bits, newWindow.width);
    writer.bits(leading, 5);
    writer.bits(64 - leading - trailing, 6);
  }
  writeShifted(writer, xorHigh, xorLow, column);
}

/** The bits between the window's ends. */
function writeShifted(writer: BitWriter, high: number, low: number, window: XorColumn): void {
  const { leading, trailing } = window;
  const inHigh = 32 - leading - Math.max(0, trailing - 32);
  writer.bits(high >>> Math.max(0, trailing - 32), inHigh);
  if (trailing < 32) writer.bits(low >>> trailing, 32 - trailing);
}

function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}

const float = new Float64Array(1);
const halves = new Int32Array(float.buffer);
