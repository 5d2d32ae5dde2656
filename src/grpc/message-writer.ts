import { assert } from '#/lib/errors.ts';
import type { Compression } from './wire/compression.ts';
import type { Slab, SlabPool } from './slabs.ts';

/** From this size on, handing bytes over is cheaper than copying them into a slab. */
const HAND_OVER_BYTES = 32_768;
/** A slab with less room than this is not worth going on with after a flush. */
const MIN_ROOM_BYTES = 4096;

/** Takes finished bytes. `sent` is to be called once nobody reads them any more. */
export type ByteSink = (bytes: Uint8Array, sent: () => void) => void;

/**
 * Writes gRPC messages, and the protobuf inside them, one after the other into recycled slabs; full
 * slabs go to the sink. A message is `begin(length)`, exactly `length` bytes through the methods
 * below, then `end()`: an encoder computes sizes first, and what is written is never copied again.
 * The bytes of one message may lie in several slabs.
 */
export class MessageWriter {
  readonly #pool: SlabPool;
  readonly #sink: ByteSink;
  readonly #compression: Compression | undefined;
  #slab: Slab;
  /** Where bytes go: the slab's memory, or a message that has to be whole for its compression. */
  #bytes: Buffer;
  #at = 0;
  /** Where the bytes begin that the sink does not have yet. */
  #unsent = 0;
  /** Position in the stream of `#bytes[0]`. */
  #base = 0;
  #messageEnd = 0;
  #messages = 0;
  /** While a message is collected for its compression: where to go on in the slab. */
  #resume: { readonly at: number; readonly base: number } | undefined;

  constructor(pool: SlabPool, sink: ByteSink, compression?: Compression) {
    this.#pool = pool;
    this.#sink = sink;
    this.#compression = compression;
    this.#slab = pool.take();
    this.#bytes = this.#slab.bytes;
  }

  /** Messages ended so far. */
  get messages(): number {
    return this.#messages;
  }

  /** Starts a message of `length` bytes. */
  begin(length: number): void {
    if (this.#compression === undefined) this.#prefix(0, length);
    else this.#collect(length);
    this.#messageEnd = this.#base + this.#at + length;
  }

  end(): void {
    const position = this.#base + this.#at;
    assert(position === this.#messageEnd, `message is off by ${position - this.#messageEnd} bytes`);
    if (this.#resume !== undefined) this.#compressCollected(this.#resume);
    this.#messages++;
  }

  /** A whole message that is encoded already; the caller leaves `bytes` alone from here on. */
  message(bytes: Uint8Array): void {
    const packed = this.#compression === undefined ? bytes : this.#compression.compress(bytes);
    this.#prefix(this.#compression === undefined ? 0 : 1, packed.length);
    this.bytes(packed);
    this.#messages++;
  }

  /**
   * Room for exactly `bytes` bytes, 4 KiB at most: write them to `room` from the returned index on,
   * then `commit` the index behind the last. For hot paths, which save a check a byte.
   */
  claim(bytes: number): number {
    if (this.#at + bytes > this.#bytes.length) this.#nextSlab();
    return this.#at;
  }

  /** Stale as soon as anything but `commit` is called. */
  get room(): Uint8Array {
    return this.#bytes;
  }

  commit(end: number): void {
    this.#at = end;
  }

  /** Copies small `bytes`; large ones are handed over, and the caller leaves them alone from here on. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length <= this.#bytes.length - this.#at) {
      this.#bytes.set(bytes, this.#at);
      this.#at += bytes.length;
    } else if (bytes.length < HAND_OVER_BYTES) {
      this.#split(bytes);
    } else {
      this.flush();
      this.#base += bytes.length;
      this.#sink(bytes, () => undefined);
    }
  }

  /** Hands everything up to here to the sink. Not within a message. */
  flush(): void {
    this.#send();
    if (this.#bytes.length - this.#at < MIN_ROOM_BYTES) this.#replaceSlab();
  }

  /** Flushes and gives the slab back; nothing is written afterwards. */
  close(): void {
    this.#send();
    this.#slab.release();
    this.#bytes = Buffer.alloc(0);
    this.#at = 0;
    this.#unsent = 0;
  }

  #prefix(flag: number, length: number): void {
    if (this.#at + 5 > this.#bytes.length) this.#nextSlab();
    this.#bytes[this.#at] = flag;
    this.#bytes.writeUInt32BE(length, this.#at + 1);
    this.#at += 5;
  }

  #split(bytes: Uint8Array): void {
    const room = this.#bytes.length - this.#at;
    this.#bytes.set(bytes.subarray(0, room), this.#at);
    this.#at += room;
    this.#nextSlab();
    this.#bytes.set(bytes.subarray(room), 0);
    this.#at = bytes.length - room;
  }

  #nextSlab(): void {
    this.#send();
    this.#replaceSlab();
  }

  #send(): void {
    if (this.#at === this.#unsent) return;
    const slab = this.#slab;
    const bytes = this.#bytes.subarray(this.#unsent, this.#at);
    this.#unsent = this.#at;
    slab.retain();
    this.#sink(bytes, () => slab.release());
  }

  #replaceSlab(): void {
    this.#slab.release();
    this.#slab = this.#pool.take();
    this.#bytes = this.#slab.bytes;
    this.#base += this.#at;
    this.#at = 0;
    this.#unsent = 0;
  }

  #collect(length: number): void {
    this.#resume = { at: this.#at, base: this.#base };
    this.#bytes = Buffer.allocUnsafe(length);
    this.#base += this.#at;
    this.#at = 0;
  }

  #compressCollected({ at, base }: { readonly at: number; readonly base: number }): void {
    const packed = this.#compression!.compress(this.#bytes.subarray(0, this.#at));
    this.#resume = undefined;
    this.#bytes = this.#slab.bytes;
    this.#at = at;
    this.#base = base;
    this.#prefix(1, packed.length);
    this.bytes(packed);
  }
}
