import { CorruptionError } from '#/lib/errors.ts';

const float = new DataView(new ArrayBuffer(8));

/** Payload widths of a varbit number by the count of ones in front of it (varbit.go in Prometheus). */
const VARBIT_WIDTHS = [0, 3, 6, 9, 12, 18, 25, 56, 64] as const;
/** With this many ones a number takes 32 bits, ones and all. */
const MOST_ONES_IN_WORD = 6;
/** The ones, the zero behind them and the payload. */
const VARBIT_SIZES = VARBIT_WIDTHS.map((width, ones) => ones + 1 + width);

/**
 * Reads bits, most significant first, from the data of a chunk. Every read checks the bounds. Plain
 * floats have their own faster loop in xor.ts; this is for everything else.
 */
export class BitReader {
  readonly #view: DataView;
  readonly #endBit: number;
  #bit: number;

  constructor(bytes: Uint8Array, startByte: number) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
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
    const word = this.#peek();
    const ones = Math.clz32(~word);
    if (ones > MOST_ONES_IN_WORD) return this.#longUint();
    this.#skip(VARBIT_SIZES[ones]!);
    return ones === 0 ? 0 : (word << (ones + 1)) >>> (32 - VARBIT_WIDTHS[ones]!);
  }

  /** Prometheus's variable-width signed number: of `n` bits, only values above 2^(n-1) are negative. */
  varbitInt(): number {
    const word = this.#peek();
    if (word >= 0) {
      this.#skip(1);
      return 0;
    }
    const ones = Math.clz32(~word);
    if (ones > MOST_ONES_IN_WORD) return this.#longInt();
    this.#skip(VARBIT_SIZES[ones]!);
    return signed(word << (ones + 1), VARBIT_WIDTHS[ones]!);
  }

  /** Fills `into` with as many numbers as `varbitInt` would read: a loop of its own over local numbers. */
  varbitInts(into: Float64Array): void {
    const view = this.#view;
    const lastByte = view.byteLength - 5;
    let bit = this.#bit;
    for (let i = 0; i < into.length; i++) {
      const at = bit >>> 3;
      if (at <= lastByte) {
        const shift = bit & 7;
        const word = (view.getInt32(at) << shift) | (view.getUint8(at + 4) >>> (8 - shift));
        const ones = Math.clz32(~word);
        if (ones <= MOST_ONES_IN_WORD) {
          // It ends within the five bytes.
          bit += VARBIT_SIZES[ones]!;
          into[i] = ones === 0 ? 0 : signed(word << (ones + 1), VARBIT_WIDTHS[ones]!);
          continue;
        }
      }
      this.#bit = bit;
      into[i] = this.varbitInt();
      bit = this.#bit;
    }
    this.#bit = bit;
  }

  #longUint(): number {
    const width = VARBIT_WIDTHS[this.ones(8)]!;
    return this.#exact(this.bits(width - 32) * 0x100000000 + this.bits(32));
  }

  #longInt(): number {
    const width = VARBIT_WIDTHS[this.ones(8)]!;
    if (width === 64) return this.int64();
    const upper = this.bits(width - 32);
    const lower = this.bits(32);
    // Not `value - 2 ** width`: of 56 bits a double would lose the last three.
    const isNegative = upper * 0x100000000 + lower > 2 ** (width - 1);
    return (isNegative ? upper - 2 ** (width - 32) : upper) * 0x100000000 + lower;
  }

  damaged(what: string): CorruptionError {
    return new CorruptionError(`chunk at bit ${this.#bit} of ${this.#endBit}: found ${what}`);
  }

  /** The next 32 bits as an int32, zeros after the end. */
  #peek(): number {
    const view = this.#view;
    const at = this.#bit >>> 3;
    const shift = this.#bit & 7;
    if (at + 5 > view.byteLength) return this.#peekLast(at, shift);
    return (view.getInt32(at) << shift) | (view.getUint8(at + 4) >>> (8 - shift));
  }

  #peekLast(at: number, shift: number): number {
    const view = this.#view;
    const byte = (i: number) => (i < view.byteLength ? view.getUint8(i) : 0);
    const high = (byte(at) << 24) | (byte(at + 1) << 16) | (byte(at + 2) << 8) | byte(at + 3);
    return (high << shift) | (byte(at + 4) >>> (8 - shift));
  }

  #skip(width: number): void {
    if (this.#bit + width > this.#endBit) throw this.#short(width);
    this.#bit += width;
  }

  #short(width: number): CorruptionError {
    return this.damaged(`the end, expected ${width} more bits`);
  }

  #exact(value: number): number {
    if (!Number.isSafeInteger(value)) throw this.damaged(`${value}, expected less than 2^53`);
    return value;
  }
}

/** Of the upper `width` bits, 3 to 25, only values above half stand for negative numbers. */
function signed(word: number, width: number): number {
  const value = word >>> (32 - width);
  return value > 1 << (width - 1) ? value - (1 << width) : value;
}
