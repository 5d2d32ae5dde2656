const textEncoder = new TextEncoder();

/** The writing twin of `ByteReader`: big-endian numbers, LEB128 varints and strings into growing memory. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** A view of what was written; the next write may make it stale. */
  written(start = 0): Uint8Array {
    // No `subarray`, as below.
    return new Uint8Array(this.#bytes.buffer, start, this.#length - start);
  }

  /** A copy of what was written, for keeping. */
  toBytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Forgets everything and keeps the memory. */
  clear(): void {
    this.#length = 0;
  }

  uint8(value: number): void {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
  }

  uint16(value: number): void {
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
  }

  uint32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
  }

  /** `value` is a whole number below 2^53. */
  uint64(value: number): void {
    this.uint32(Math.floor(value / 0x100000000));
    this.uint32(value >>> 0);
  }

  float64(value: number): void {
    const at = this.#grow(8);
    this.#view.setFloat64(at, value);
  }

  /** `value` is a whole number from 0 to below 2^53. */
  uvarint(value: number): void {
    let rest = value;
    while (rest >= 0x80000000) {
      this.uint8((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      this.uint8((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.uint8(rest);
  }

  /** Zig-zag coded; `value` is a whole number between -2^52 and 2^52, or goes through `varint64`. */
  varint(value: number): void {
    if (value >= -HALF_SAFE && value < HALF_SAFE) {
      this.uvarint(value >= 0 ? value * 2 : -value * 2 - 1);
    } else {
      this.varint64(BigInt(value));
    }
  }

  uvarint64(value: bigint): void {
    let rest = value;
    for (; rest >= 0x80n; rest >>= 7n) this.uint8(Number(rest & 0x7fn) | 0x80);
    this.uint8(Number(rest));
  }

  varint64(value: bigint): void {
    this.uvarint64(value >= 0n ? value << 1n : ((-value - 1n) << 1n) | 1n);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Bytes `[from, to)` of `bytes`. */
  range(bytes: Uint8Array, from: number, to: number): void {
    const at = this.#grow(to - from);
    // No `subarray`: it looks up the species of the array, which takes longer than copying little.
    this.#bytes.set(new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from), at);
  }

  uint32s(values: Uint32Array): void {
    const at = this.#grow(4 * values.length);
    for (let i = 0; i < values.length; i++) this.#view.setUint32(at + 4 * i, values[i]!);
  }

  /** A uvarint of the byte length, then UTF-8. */
  string(text: string): void {
    const bytes = textEncoder.encode(text);
    this.uvarint(bytes.length);
    this.bytes(bytes);
  }

  zeros(count: number): void {
    const at = this.#grow(count);
    this.#bytes.fill(0, at, at + count);
  }

  /** Overwrites four bytes written earlier, for a length that is known only afterwards. */
  patchUint32(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }

  /** Makes room for `count` bytes and returns where they go; may replace `#bytes` and `#view`. */
  #grow(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#length = needed;
    return at;
  }
}

const HALF_SAFE = 2 ** 52;
