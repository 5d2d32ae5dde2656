import { CorruptionError } from '#/lib/errors.ts';

const float = new DataView(new ArrayBuffer(8));

/** Payload widths of a varbit number by the count of ones in front of it (varbit.go in Prometheus). */
const VARBIT_WIDTHS = [0, 3, 6, 9, 12, 18, 25, 56, 64] as const;

/**
 * Reads bits, most significant first, from the data of a chunk. Every read checks the bounds. Plain
 * floats have their own faster loop in xor.ts; this is for everything else.
 */
export class BitReader {
  readonly #bytes: Uint8Array;
  readonly #endBit: number;
  #bit: number;

  constructor(bytes: Uint8Array, startByte: number) {
    this.#bytes = bytes;
    this.#endBit = bytes.length * 8;
    this.#bit = startByte * 8;
  }

  get remainingBits(): number {
    return this.#endBit - this.#bit;
  }

  /** An unsigned number of `width` bits, 0 to 32. */
  bits(width: number): number {
    if (width === 0) return 0;
    const word = this.#peek();
    this.#skip(width);
    return word >>> (32 - width);
  }

  /** How many ones come before the next zero; reads at most `limit` bits and stops there. */
  ones(limit: number): number {
    const count = Math.min(limit, Math.clz32(~this.#peek()));
    this.#skip(count < limit ? count + 1 : limit);
    return count;
  }

  float64(): number {
    float.setUint32(0, this.bits(32));
    float.setUint32(4, this.bits(32));
    return float.getFloat64(0);
  }

  /** A two's complement number of 64 bits; must be a time or count that fits a number exactly. */
  int64(): number {
    const value = (this.bits(32) | 0) * 0x100000000 + this.bits(32);
    return this.#exact(value);
  }

  /** LEB128 in bytes that need not be aligned. */
  uvarint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.bits(8);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return this.#exact(value);
      scale *= 0x80;
    }
    throw this.damaged('a varint of more than 10 bytes');
  }

  /** Zig-zag over `uvarint`. */
  varint(): number {
    const zigzag = this.uvarint();
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }

  /** Prometheus's variable-width unsigned number. */
  varbitUint(): number {
    const width = VARBIT_WIDTHS[this.ones(8)]!;
    if (width <= 32) return this.bits(width);
    return this.#exact(this.bits(width - 32) * 0x100000000 + this.bits(32));
  }

  /** Prometheus's variable-width signed number: of `n` bits, only values above 2^(n-1) are negative. */
  varbitInt(): number {
    const width = VARBIT_WIDTHS[this.ones(8)]!;
    if (width === 64) return this.int64();
    const upper = width > 32 ? this.bits(width - 32) : 0;
    const lower = this.bits(Math.min(width, 32));
    const value = upper * 0x100000000 + lower;
    if (value <= 2 ** (width - 1)) return value;
    // Not `value - 2 ** width`: of 56 bits a double would lose the last three.
    return width > 32 ? (upper - 2 ** (width - 32)) * 0x100000000 + lower : lower - 2 ** width;
  }

  damaged(what: string): CorruptionError {
    return new CorruptionError(`chunk at bit ${this.#bit} of ${this.#endBit}: found ${what}`);
  }

  /** The next 32 bits as an int32, zeros after the end. */
  #peek(): number {
    const bytes = this.#bytes;
    const at = this.#bit >>> 3;
    const shift = this.#bit & 7;
    // Bytes past the end read as undefined, which the operators take for 0.
    const high =
      (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    return (high << shift) | (bytes[at + 4]! >>> (8 - shift));
  }

  #skip(width: number): void {
    if (this.#bit + width > this.#endBit)
      throw this.damaged(`the end, expected ${width} more bits`);
    this.#bit += width;
  }

  #exact(value: number): number {
    if (!Number.isSafeInteger(value)) throw this.damaged(`${value}, expected less than 2^53`);
    return value;
  }
}
