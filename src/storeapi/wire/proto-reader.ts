import { CorruptionError } from '#/lib/errors.ts';

export const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const;

const TWO_28 = 2 ** 28;

/** Tag of a field, as it stands before its value. */
export const tag = (field: number, type: number): number => (field << 3) | type;

/** Reads protobuf at a position that callers may move. Bounds are checked; nothing is copied. */
export class ProtoReader {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
  }

  /** An unsigned varint of up to 32 bits; higher bits are dropped, as protobuf has it. */
  uint32(): number {
    const { bytes } = this;
    let byte = bytes[this.at]!;
    if (byte < 0x80) {
      this.at++;
      return byte;
    }
    let value = byte & 0x7f;
    let at = this.at + 1;
    for (let shift = 7; shift < 70; shift += 7) {
      byte = bytes[at++]!;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.at = at;
        return value >>> 0;
      }
    }
    throw this.error('a varint');
  }

  /** A signed 64-bit varint as the nearest number. */
  int64(): number {
    const { bytes, at } = this;
    let low = 0;
    for (let i = 0; i < 4; i++) {
      const byte = bytes[at + i]!;
      low |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        this.at = at + i + 1;
        return low;
      }
    }
    let high = 0;
    for (let i = 0; i < 4; i++) {
      const byte = bytes[at + 4 + i]!;
      high |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        this.at = at + i + 5;
        return low + high * TWO_28;
      }
    }
    return Number(BigInt.asIntN(64, this.#uint64()));
  }

  #uint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw this.error('a varint of 64 bits');
  }

  /** Reads a length and returns where the bytes end that it counts; `at` is where they begin. */
  end(limit: number): number {
    const length = this.uint32();
    const end = this.at + length;
    if (end > limit) throw this.error(`${length} bytes before ${limit}`);
    return end;
  }

  skip(type: number, limit: number): void {
    if (type === WireType.Varint) this.int64();
    else if (type === WireType.Bytes) this.at = this.end(limit);
    else if (type === WireType.Fixed64) this.at += 8;
    else if (type === WireType.Fixed32) this.at += 4;
    else throw this.error('a wire type of protobuf 3');
    this.check(limit);
  }

  /** Fields that run past their message are found at its end. */
  check(limit: number): void {
    if (this.at > limit) throw this.error(`the end of the message at ${limit}`);
  }

  error(want: string): CorruptionError {
    return new CorruptionError(`protobuf message at offset ${this.at}: expected ${want}`);
  }
}
