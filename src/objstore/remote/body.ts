import type { Readable } from 'node:stream';

/** A body that ended before the length that its header promised. */
export class TruncatedBody extends Error {
  override readonly name = 'TruncatedBody';
}

/**
 * The pieces of a response's body. A server that sends nothing for `idleMs` while a piece is wanted
 * is given up with a `TimeoutError`; leaving the loop early, or an aborted signal, closes the connection.
 */
export async function* bodyPieces(
  body: Readable,
  expectedBytes: number | undefined,
  idleMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let waiting = true;
  const timer = setTimeout(() => {
    if (waiting) body.destroy(new DOMException(`no data within ${idleMs} ms`, 'TimeoutError'));
  }, idleMs);
  const abort = () => body.destroy(signal?.reason as Error);
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  let received = 0;
  try {
    for await (const piece of body as AsyncIterable<Uint8Array>) {
      waiting = false;
      received += piece.length;
      yield piece;
      waiting = true;
      timer.refresh();
    }
    if (expectedBytes !== undefined && received < expectedBytes) {
      throw new TruncatedBody(`the answer ended after ${received} of ${expectedBytes} bytes`);
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    body.destroy();
  }
}
