import { CorruptionError } from './errors.ts';

const textDecoder = new TextDecoder();

/**
 * Reads big-endian numbers, LEB128 varints and strings one after the other. Every read checks the
 * bounds; a `CorruptionError` names the offset and what was expected there. Nothing is copied.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #what: string;
  readonly #base: number;
  #view: DataView | undefined;
  #offset: number;

  /**
   * `what` opens error messages (`index series entry`); `base` is the position of `bytes[0]` in the
   * file they come from, so that messages name file offsets.
   */
  constructor(bytes: Uint8Array, offset = 0, what = 'bytes', base = 0) {
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.#what = what;
    this.#base = base;
    this.#offset = offset;
    if (offset < 0 || offset > bytes.length) throw this.#short(0, 'a position inside');
  }

  /** Index into the bytes given to the constructor. */
  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#end - this.#offset;
  }

  /** A view, not a copy. */
  bytes(length: number): Uint8Array {
    const start = this.#advance(length, 'bytes');
    return this.#bytes.subarray(start, start + length);
  }

  skip(length: number): void {
    this.#advance(length, 'bytes to skip');
  }

  uint8(): number {
    return this.#bytes[this.#advance(1, 'uint8')]!;
  }

  uint16(): number {
    const at = this.#advance(2, 'uint16');
    return this.#bytes[at]! * 0x100 + this.#bytes[at + 1]!;
  }

  uint32(): number {
    const at = this.#advance(4, 'uint32');
    const bytes = this.#bytes;
    return (
      bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
    );
  }

  /** @throws CorruptionError too if the value does not fit a number exactly (2^53 and more). */
  uint64(): number {
    const at = this.#offset;
    const value = this.uint32() * 0x100000000 + this.uint32();
    if (!Number.isSafeInteger(value)) throw this.error(`uint64 below 2^53`, `${value}`, at);
    return value;
  }

  float64(): number {
    this.#view ??= new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    return this.#view.getFloat64(this.#advance(8, 'float64'));
  }

  /** @throws CorruptionError too if the value does not fit a number exactly (2^53 and more). */
  uvarint(): number {
    const start = this.#offset;
    const value = this.#exactUvarint();
    if (value >= 0) return value;
    throw this.error('uvarint below 2^53', `${this.uvarint64()}`, start);
  }

  /** A `uvarint()` that must fit 32 bits. */
  uvarint32(): number {
    const start = this.#offset;
    const value = this.uvarint();
    if (value > 0xffffffff) throw this.error('uvarint of 32 bits', `${value}`, start);
    return value;
  }

  /** Zig-zag coded. @throws CorruptionError too if the value does not fit a number exactly. */
  varint(): number {
    const start = this.#offset;
    const zigzag = this.#exactUvarint();
    if (zigzag >= 0) return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    const value = this.varint64();
    if (value <= MAX_SAFE && value >= -MAX_SAFE) return Number(value);
    throw this.error('varint between -2^53 and 2^53', `${value}`, start);
  }

  /** A uvarint that holds a negative number in the two's complement of 64 bits, as Go casts one. */
  wrappedUvarint(): number {
    const start = this.#offset;
    const exact = this.#exactUvarint();
    if (exact >= 0) return exact;
    const value = BigInt.asIntN(64, this.uvarint64());
    if (value <= MAX_SAFE && value >= -MAX_SAFE) return Number(value);
    throw this.error('number between -2^53 and 2^53', `${value}`, start);
  }

  uvarint64(): bigint {
    const start = this.#offset;
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      if (this.#offset >= this.#end) throw this.#short(1, 'the rest of a uvarint');
      const byte = this.#bytes[this.#offset++]!;
      if (shift === 63n && byte > 1) throw this.error('uvarint of 64 bits', 'more bits', start);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  varint64(): bigint {
    const zigzag = this.uvarint64();
    return (zigzag & 1n) === 0n ? zigzag >> 1n : -(zigzag >> 1n) - 1n;
  }

  /** A uvarint of the byte length, then UTF-8. Bytes that are no UTF-8 become U+FFFD. */
  string(): string {
    return decodeUtf8(this.bytes(this.uvarint()));
  }

  /** The error for an impossible value at `at` (default: here). */
  error(want: string, got: string, at = this.#offset): CorruptionError {
    return new CorruptionError(
      `${this.#what} at offset ${this.#base + at}: found ${got}, expected ${want}`,
    );
  }

  /** A uvarint below 2^53, or -1 without moving where it is larger, longer than 8 bytes or cut off. */
  #exactUvarint(): number {
    const bytes = this.#bytes;
    const last = Math.min(this.#end, this.#offset + 8);
    let value = 0;
    let scale = 1;
    for (let at = this.#offset; at < last; at++) {
      const byte = bytes[at]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) return -1;
        this.#offset = at + 1;
        return value;
      }
      scale *= 0x80;
    }
    return -1;
  }

  #advance(length: number, want: string): number {
    const start = this.#offset;
    if (length > this.#end - start || length < 0) throw this.#short(length, want);
    this.#offset = start + length;
    return start;
  }

  #short(length: number, want: string): CorruptionError {
    const left = this.#end - this.#offset;
    return this.error(`${want} (${length} bytes)`, `${left} bytes before the end`);
  }
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** Short ASCII, which is nearly all label text, costs a third of a `TextDecoder` call this way. */
function decodeUtf8(bytes: Uint8Array): string {
  if (bytes.length > 24) return textDecoder.decode(bytes);
  let text = '';
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte >= 0x80) return textDecoder.decode(bytes);
    text += String.fromCharCode(byte);
  }
  return text;
}
