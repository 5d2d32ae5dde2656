/** Writes bits, most significant first, into growing memory. The writing twin of `BitReader`. */
export class BitWriter {
  #bytes: Uint8Array;
  #bit = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** Bytes begun so far. */
  get sizeBytes(): number {
    return (this.#bit + 7) >>> 3;
  }

  /** The low `width` bits of `value`, 0 to 32. */
  bits(value: number, width: number): void {
    if (this.#bit + width + 8 > this.#bytes.length * 8) this.#grow();
    const bytes = this.#bytes;
    let left = width;
    while (left > 0) {
      const free = 8 - (this.#bit & 7);
      const count = Math.min(free, left);
      const piece = (value >>> (left - count)) & ((1 << count) - 1);
      bytes[this.#bit >>> 3]! |= piece << (free - count);
      this.#bit += count;
      left -= count;
    }
  }

  /** 64 bits in two halves. */
  bits64(high: number, low: number): void {
    this.bits(high, 32);
    this.bits(low, 32);
  }

  float64(value: number): void {
    float[0] = value;
    this.bits64(halves[1]!, halves[0]!);
  }

  /** Two's complement in 64 bits of a whole number that a double holds exactly. */
  int64(value: number): void {
    this.bits64(Math.floor(value / 0x100000000), value % 0x100000000);
  }

  /** LEB128, byte by byte at the current bit. */
  uvarint(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.bits((rest % 0x80) | 0x80, 8);
    this.bits(rest, 8);
  }

  /** Zig-zag over `uvarint`; between -2^52 and 2^52. */
  varint(value: number): void {
    this.uvarint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  varbitUint(value: number): void {
    const step = STEPS.findIndex((width) => value < 2 ** width);
    this.#varbit(value, step);
  }

  varbitInt(value: number): void {
    const step = STEPS.findIndex((width) =>
      width === 0 ? value === 0 : value > -(2 ** (width - 1)) && value <= 2 ** (width - 1),
    );
    this.#varbit(value, step);
  }

  /** Overwrites a byte written earlier. */
  patchUint8(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  toBytes(): Uint8Array {
    return this.#bytes.slice(0, this.sizeBytes);
  }

  #varbit(value: number, step: number): void {
    if (step < 0) {
      this.bits(0xff, 8);
      this.int64(value);
      return;
    }
    const width = STEPS[step]!;
    // As many ones as the step, then a zero.
    this.bits((1 << (step + 1)) - 2, step + 1);
    if (width <= 32) {
      this.bits(value, width);
    } else {
      this.bits(Math.floor(value / 0x100000000), width - 32);
      this.bits(value % 0x100000000, 32);
    }
  }

  #grow(): void {
    const larger = new Uint8Array(this.#bytes.length * 2);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** Payload widths below 64 bits (varbit.go in Prometheus). */
const STEPS = [0, 3, 6, 9, 12, 18, 25, 56] as const;

const float = new Float64Array(1);
const halves = new Int32Array(float.buffer);
