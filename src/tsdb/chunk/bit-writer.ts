/**
 * Writes bits, most significant first, into growing memory. The writing twin of `BitReader`. Bits are
 * gathered in a word of 32 and stored when it is full.
 */
export class BitWriter {
  #view: DataView<ArrayBuffer>;
  /** Bytes stored, a multiple of 4; then the word in the making and how many of its bits are free. */
  #length = 0;
  #word = 0;
  #free = 32;

  constructor(capacity = 256) {
    this.#view = new DataView(new ArrayBuffer(capacity));
  }

  /** Bytes begun so far. */
  get sizeBytes(): number {
    return this.#length + ((39 - this.#free) >>> 3);
  }

  /** Forgets everything and keeps the memory. */
  clear(): void {
    this.#length = 0;
    this.#word = 0;
    this.#free = 32;
  }

  /** The low `width` bits of `value`, 0 to 32. */
  bits(value: number, width: number): void {
    const bits = width === 32 ? value | 0 : value & ((1 << width) - 1);
    const left = this.#free - width;
    if (left > 0) {
      this.#word |= bits << left;
      this.#free = left;
      return;
    }
    this.#store(this.#word | (bits >>> -left));
    this.#word = left === 0 ? 0 : bits << (32 + left);
    this.#free = 32 + left;
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
    if (at < this.#length) {
      this.#view.setUint8(at, value);
      return;
    }
    const shift = 24 - 8 * (at - this.#length);
    this.#word = (this.#word & ~(0xff << shift)) | (value << shift);
  }

  toBytes(): Uint8Array {
    this.#reserve();
    this.#view.setInt32(this.#length, this.#word);
    return new Uint8Array(this.#view.buffer.slice(0, this.sizeBytes));
  }

  #store(word: number): void {
    this.#reserve();
    this.#view.setInt32(this.#length, word);
    this.#length += 4;
  }

  /** Makes room for a word. */
  #reserve(): void {
    const { buffer } = this.#view;
    if (this.#length + 4 <= buffer.byteLength) return;
    const larger = new Uint8Array(buffer.byteLength * 2);
    larger.set(new Uint8Array(buffer));
    this.#view = new DataView(larger.buffer);
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
}

/** Payload widths below 64 bits (varbit.go in Prometheus). */
const STEPS = [0, 3, 6, 9, 12, 18, 25, 56] as const;

const float = new Float64Array(1);
const halves = new Int32Array(float.buffer);
