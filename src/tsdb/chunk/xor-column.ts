import type { BitReader } from './bit-reader.ts';

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
    if (reader.bits(1) === 0) return;
    if (reader.bits(1) === 0) this.readInWindow(reader);
    else this.readNewWindow(reader);
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

const float = new Float64Array(1);
const halves = new Int32Array(float.buffer);
