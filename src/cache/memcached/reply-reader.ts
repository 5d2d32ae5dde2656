import { ServerError } from '../remote/server-error.ts';

const CR = 0x0d;
const LF = 0x0a;
/** Lines are a few words and a key of at most 250 bytes; what is longer is no reply. */
const MAX_LINE_BYTES = 2048;

/**
 * Cuts the bytes of a connection into the lines and the counted blocks that Memcached's text protocol
 * is made of. What does not arrive whole yet gives `undefined` and stays.
 */
export class ReplyReader {
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  /** No use to look before so many bytes are there. */
  #need = 0;

  push(piece: Uint8Array): void {
    this.#pending.push(piece);
    this.#pendingBytes += piece.length;
  }

  /** @throws ServerError if no line ends where one must have ended. */
  line(): string | undefined {
    this.#gather();
    const end = this.#bytes.indexOf(LF, this.#at);
    if (end === -1) {
      if (this.#left > MAX_LINE_BYTES) throw new ServerError('a line that does not end');
      return undefined;
    }
    if (end - this.#at > MAX_LINE_BYTES || this.#bytes[end - 1] !== CR) {
      throw new ServerError('a line that is none of Memcached');
    }
    const line = this.#bytes.toString('latin1', this.#at, end - 1);
    this.#at = end + 1;
    return line;
  }

  /** `length` bytes and the end of line behind them. @throws ServerError if that is not there. */
  block(length: number): Uint8Array | undefined {
    this.#need = length + 2;
    this.#gather();
    if (this.#left < length + 2) return undefined;
    this.#need = 0;
    const end = this.#at + length;
    if (this.#bytes[end] !== CR || this.#bytes[end + 1] !== LF) {
      throw new ServerError('a value of another length than it says');
    }
    const block = this.#bytes.subarray(this.#at, end);
    this.#at = end + 2;
    return block;
  }

  /** Whether bytes are left that nobody asked for. */
  get hasMore(): boolean {
    return this.#left + this.#pendingBytes > 0;
  }

  get #left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Joins what has come, once it is enough: each byte is copied a bounded number of times. */
  #gather(): void {
    if (this.#pendingBytes === 0 || this.#left + this.#pendingBytes < this.#need) return;
    const rest = this.#bytes.subarray(this.#at);
    const only = this.#pending[0]!;
    this.#bytes =
      rest.length === 0 && this.#pending.length === 1
        ? Buffer.from(only.buffer, only.byteOffset, only.length)
        : Buffer.concat([rest, ...this.#pending]);
    this.#at = 0;
    this.#pending = [];
    this.#pendingBytes = 0;
  }
}
