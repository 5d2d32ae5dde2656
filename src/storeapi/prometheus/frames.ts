import { crc32c } from '#/lib/crc32c.ts';
import { CorruptionError, LimitError, UnavailableError } from '#/lib/errors.ts';

/** The longest frame taken, as Prometheus's own reader has it. */
export const FRAME_LIMIT_BYTES = 50_000_000;

const CHECKSUM_BYTES = 4;
const LONGEST_UVARINT = 10;

/**
 * Cuts the body of a streamed remote-read answer into its frames:
 *
 *     size <uvarint> | crc32c of data <4 bytes, big-endian> | data <size bytes>
 *
 * A frame is a view of the piece it came in, or a buffer of its own when it spans pieces; the
 * parser keeps neither. Format: storage/remote/chunked.go in Prometheus.
 */
export class FrameParser {
  readonly #limitBytes: number;
  /** The frame's beginning, up to its data. */
  readonly #header = new Uint8Array(LONGEST_UVARINT + CHECKSUM_BYTES);
  #headerLength = 0;
  #sizeLength = 0;
  #size = 0;
  /** The data of a frame that spans pieces. */
  #data: Uint8Array | undefined;
  #filled = 0;
  #frames = 0;

  constructor(limitBytes = FRAME_LIMIT_BYTES) {
    this.#limitBytes = limitBytes;
  }

  /** How many frames were taken. */
  get frames(): number {
    return this.#frames;
  }

  /**
   * Calls `take` with the data of every frame that `piece` completes.
   * @throws CorruptionError if a checksum differs, LimitError if a frame is too long.
   */
  push(piece: Uint8Array, take: (data: Uint8Array) => void): void {
    let at = 0;
    while (at < piece.length) {
      at = this.#data === undefined ? this.#readHeader(piece, at) : this.#fill(piece, at);
      if (!this.#headerIsWhole()) return;
      if (this.#data === undefined) at = this.#startData(piece, at);
      if (this.#data === undefined || this.#filled < this.#size) continue;
      const data = this.#data;
      this.#check(data);
      this.#reset();
      take(data);
    }
  }

  /** @throws UnavailableError if the body ended inside a frame. */
  end(): void {
    if (this.#headerLength === 0) return;
    throw new UnavailableError(
      `the remote-read stream ends inside frame ${this.#frames + 1}, ` +
        `after ${this.#filled} of ${this.#headerIsWhole() ? this.#size : 'an unknown number of'} bytes`,
    );
  }

  #readHeader(piece: Uint8Array, start: number): number {
    let at = start;
    while (at < piece.length && !this.#headerIsWhole()) {
      const byte = piece[at++]!;
      this.#header[this.#headerLength++] = byte;
      if (this.#sizeLength > 0) continue;
      this.#size += (byte & 0x7f) * 2 ** (7 * (this.#headerLength - 1));
      if (byte < 0x80) this.#sizeLength = this.#headerLength;
      if (this.#size > this.#limitBytes || this.#headerLength === LONGEST_UVARINT) {
        throw new LimitError(
          `remote-read frame ${this.#frames + 1} has ${this.#size} bytes or more, over the limit of ${this.#limitBytes}`,
        );
      }
    }
    return at;
  }

  #headerIsWhole(): boolean {
    return this.#sizeLength > 0 && this.#headerLength === this.#sizeLength + CHECKSUM_BYTES;
  }

  /** Takes the data as a view when the piece has all of it. */
  #startData(piece: Uint8Array, at: number): number {
    if (piece.length - at < this.#size) {
      this.#data = new Uint8Array(this.#size);
      return this.#fill(piece, at);
    }
    this.#data = piece.subarray(at, at + this.#size);
    this.#filled = this.#size;
    return at + this.#size;
  }

  #fill(piece: Uint8Array, at: number): number {
    const length = Math.min(piece.length - at, this.#size - this.#filled);
    this.#data!.set(piece.subarray(at, at + length), this.#filled);
    this.#filled += length;
    return at + length;
  }

  #check(data: Uint8Array): void {
    const header = this.#header;
    const want = new DataView(header.buffer).getUint32(this.#sizeLength);
    const got = crc32c(data);
    if (got !== want) {
      throw new CorruptionError(
        `remote-read frame ${this.#frames + 1} of ${this.#size} bytes is damaged: crc32c is ${got}, the frame says ${want}`,
      );
    }
  }

  #reset(): void {
    this.#headerLength = 0;
    this.#sizeLength = 0;
    this.#size = 0;
    this.#data = undefined;
    this.#filled = 0;
    this.#frames++;
  }
}
