import { LimitError } from '#/lib/errors.ts';
import { Status, StatusError } from '../status.ts';
import type { Compression } from './compression.ts';

const PREFIX_BYTES = 5;

/**
 * Cuts the bytes of an HTTP/2 stream into messages, each of which is
 *
 *     compressed <1 byte, 0 or 1> | length <uint32, big-endian> | message <length bytes>
 *
 * A message that lies within one piece is a view into it; one that spans several is put together
 * once its last byte is there, so a length that lies takes no memory.
 */
export class MessageReader {
  readonly #compression: Compression | undefined;
  readonly #limitBytes: number;
  /** The pieces of a message (with its prefix) that is not complete, in order. */
  #pieces: Buffer[] = [];
  #pendingBytes = 0;
  /** How many pending bytes are needed before it is worth looking again. */
  #neededBytes = PREFIX_BYTES;

  constructor(compression: Compression | undefined, limitBytes: number) {
    this.#compression = compression;
    this.#limitBytes = limitBytes;
  }

  /** Whether the bytes so far end within a message. */
  get isMidMessage(): boolean {
    return this.#pendingBytes > 0;
  }

  /**
   * The messages that `piece` completes, appended to `messages`; the reader keeps `piece`.
   * @throws LimitError for a message over the limit.
   * @throws StatusError for a prefix that is none, or a message that cannot be decompressed.
   */
  push(piece: Buffer, messages: Uint8Array[]): void {
    let bytes = piece;
    if (this.#pendingBytes > 0) {
      this.#pieces.push(piece);
      this.#pendingBytes += piece.length;
      if (this.#pendingBytes < this.#neededBytes) return;
      bytes = Buffer.concat(this.#pieces, this.#pendingBytes);
      this.#pieces = [];
    }
    this.#keep(bytes.subarray(this.#cut(bytes, messages)));
  }

  /** Appends the complete messages in `bytes` and returns where they end. */
  #cut(bytes: Buffer, messages: Uint8Array[]): number {
    let at = 0;
    for (;;) {
      this.#neededBytes = PREFIX_BYTES;
      if (bytes.length - at < PREFIX_BYTES) return at;
      const length = this.#lengthAt(bytes, at);
      this.#neededBytes = PREFIX_BYTES + length;
      if (bytes.length - at < this.#neededBytes) return at;
      const start = at + PREFIX_BYTES;
      at += this.#neededBytes;
      messages.push(this.#unpack(bytes[start - PREFIX_BYTES]!, bytes.subarray(start, at)));
    }
  }

  #keep(rest: Buffer): void {
    this.#pendingBytes = rest.length;
    if (rest.length > 0) this.#pieces.push(rest);
  }

  #lengthAt(bytes: Buffer, at: number): number {
    if (bytes[at]! > 1) {
      throw new StatusError(
        Status.Internal,
        `message prefix: found compression flag ${bytes[at]}, expected 0 or 1`,
      );
    }
    const length = bytes.readUInt32BE(at + 1);
    if (length > this.#limitBytes) {
      throw new LimitError(
        `received message larger than max (${length} vs. ${this.#limitBytes} bytes)`,
      );
    }
    return length;
  }

  #unpack(flag: number, body: Buffer): Uint8Array {
    if (flag === 0) return body;
    if (this.#compression === undefined) {
      throw new StatusError(
        Status.Internal,
        'message is marked as compressed, but the call has no grpc-encoding header',
      );
    }
    return this.#compression.decompress(body, this.#limitBytes);
  }
}
