import type { Http2Stream } from 'node:http2';
import type { MessageReader } from './message-reader.ts';

/** A stream with more than this many bytes that nobody took is paused; flow control does the rest. */
const PAUSE_BYTES = 4 * 1024 * 1024;

/**
 * The messages of an HTTP/2 stream, taken in batches of whatever is there, so that a consumer pays
 * for waiting once a batch and not once a message.
 */
export class Inbox {
  readonly #stream: Http2Stream;
  readonly #reader: MessageReader;
  #messages: Uint8Array[] = [];
  #bytes = 0;
  #paused = false;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Http2Stream, reader: MessageReader) {
    this.#stream = stream;
    this.#reader = reader;
    stream.on('data', (piece: Buffer) => this.#receive(piece));
  }

  /** Whether the bytes so far end within a message. */
  get isMidMessage(): boolean {
    return this.#reader.isMidMessage;
  }

  /** No more messages will come. Those that are here can still be taken. */
  end(): void {
    this.#ended = true;
    this.#wakeUp();
  }

  /** Whoever takes learns of `error` after the messages that are here. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wakeUp();
  }

  /** All messages that are here, at least one; `undefined` at the end. Only one call at a time. */
  async take(): Promise<Uint8Array[] | undefined> {
    for (;;) {
      if (this.#messages.length > 0) return this.#takeAll();
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#ended) return undefined;
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
  }

  #takeAll(): Uint8Array[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    if (this.#paused) {
      this.#paused = false;
      this.#stream.resume();
    }
    return messages;
  }

  #receive(piece: Buffer): void {
    if (this.#failure !== undefined) return;
    try {
      this.#reader.push(piece, this.#messages);
    } catch (thrown) {
      this.fail(thrown);
      return;
    }
    this.#bytes += piece.length;
    if (this.#messages.length === 0) return;
    if (this.#bytes > PAUSE_BYTES && !this.#paused) {
      this.#paused = true;
      this.#stream.pause();
    }
    this.#wakeUp();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
