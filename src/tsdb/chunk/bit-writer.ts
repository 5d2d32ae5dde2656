/** The widest write goes this far beyond its bit. */
const PADDING_BYTES = 5;

/**
 * Writes bits, most significant first, into growing memory. The writing twin of `BitReader`. Every
 * write stores a word whose upper bits count: behind the last bit written, as far as that word goes,
 * all is zero.
 */
export class BitWriter {
  #view: DataView<ArrayBuffer>;
  #bit = 0;
  /** Where the memory must grow before the next write. */
  #limit: number;

  constructor(capacity = 256) {
    this.#view = new DataView(new ArrayBuffer(capacity + PADDING_BYTES));
    this.#limit = 8 * capacity;
  }

  /** Bytes begun so far. */
  get sizeBytes(): number {
    return (this.#bit + 7) >>> 3;
  }

  /** Forgets everything and keeps the memory. */
  clear(): void {
    this.#bit = 0;
  }

  /** The low `width` bits of `value`, 0 to 32. */
  bits(value: number, width: number): void {
    if (width > 0) this.#put(value << (32 - width), width);
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
    this.#varbit(value, value < 2 ** 25 ? 32 - Math.clz32(value) : FULL_BITS);
  }

  varbitInt(value: number): void {
    if (value === 0) {
      this.#put(0, 1);
      return;
    }
    // Of n bits, the one pattern that could be either sign stands for the positive number.
    const size = value > 0 ? value - 1 : -value;
    this.#varbit(value, size < 2 ** 24 ? 33 - Math.clz32(size) : FULL_BITS);
  }

  /** Overwrites a byte written earlier. */
  patchUint8(at: number, value: number): void {
    this.#view.setUint8(at, value);
  }

  toBytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer.slice(0, this.sizeBytes));
  }

  /** The upper `width` bits of `word`, whose others are zero. */
  #put(word: number, width: number): void {
    if (this.#bit >= this.#limit) this.#grow();
    const view = this.#view;
    const at = this.#bit >>> 3;
    const shift = this.#bit & 7;
    const begun = shift === 0 ? 0 : view.getUint8(at) << 24;
    view.setInt32(at, begun | (word >>> shift));
    view.setUint8(at + 4, word << (8 - shift));
    this.#bit += width;
  }

  #grow(): void {
    const { buffer } = this.#view;
    const larger = new Uint8Array(2 * buffer.byteLength);
    larger.set(new Uint8Array(buffer));
    this.#view = new DataView(larger.buffer);
    this.#limit = 8 * (larger.length - PADDING_BYTES);
  }

  /** `needed`: the least width that holds the value, or `FULL_BITS` for more than 25. */
  #varbit(value: number, needed: number): void {
    if (needed === FULL_BITS) {
      this.#longVarbit(value);
      return;
    }
    const step = STEP_OF_BITS[needed]!;
    const width = STEPS[step]!;
    // As many ones as the step, then a zero.
    const ones = ((1 << (step + 1)) - 2) << (31 - step);
    const payload = width === 0 ? 0 : (value << (32 - width)) >>> (step + 1);
    this.#put(ones | payload, step + 1 + width);
  }

  #longVarbit(value: number): void {
    if (value > -(2 ** 55) && value <= 2 ** 55) {
      this.bits(0b11111110, 8);
      this.bits(Math.floor(value / 0x100000000), 24);
      this.bits(value % 0x100000000, 32);
    } else {
      this.bits(0xff, 8);
      this.int64(value);
    }
  }
}

/** Payload widths that go into one word with their ones (varbit.go in Prometheus). */
const STEPS = [0, 3, 6, 9, 12, 18, 25] as const;

/** The step for every number of bits that a value needs. */
const STEP_OF_BITS = Array.from({ length: 26 }, (_, bits) =>
  STEPS.findIndex((width) => width >= bits),
);

/** More than the widest of the steps. */
const FULL_BITS = 26;

const float = new Float64Array(1);
const halves = new Int32Array(float.buffer);
