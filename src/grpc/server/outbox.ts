import type { Http2Stream } from 'node:http2';

/** More than this many bytes on their way, and the producer has to wait. */
const FULL_BYTES = 512 * 1024;

/** The writing side of an HTTP/2 stream: counts what has not left yet, and lets a producer wait for it. */
export class Outbox {
  readonly #stream: Http2Stream;
  #queuedBytes = 0;
  #wake: (() => void) | undefined;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
    stream.on('close', () => this.#wakeUp());
  }

  get isFull(): boolean {
    return this.#queuedBytes > FULL_BYTES;
  }

  /** `sent` is not called if the bytes never leave: nobody knows then who still reads them. */
  readonly write = (bytes: Uint8Array, sent: () => void): void => {
    if (this.#stream.destroyed) return;
    this.#queuedBytes += bytes.length;
    this.#stream.write(bytes, (failure) => {
      this.#queuedBytes -= bytes.length;
      if (failure === null || failure === undefined) sent();
      if (this.#queuedBytes <= FULL_BYTES / 2) this.#wakeUp();
    });
  };

  /** Resolves when half of what fills it has left, or the stream is gone. */
  async drained(): Promise<void> {
    if (this.#queuedBytes <= FULL_BYTES / 2 || this.#stream.destroyed) return;
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    await woken.promise;
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
