import type { Clock } from '#/lib/clock.ts';
import type { Body, Span } from './service.ts';

/** A body that is not what its headers promised, or not what was asked for. */
export class BrokenBody extends Error {
  override readonly name = 'BrokenBody';
}

interface BodyOptions {
  /** As many bytes as there must be, if that is known. */
  readonly sizeBytes: number | undefined;
  readonly clock: Clock;
  /** How long the server may send nothing while a piece is wanted. */
  readonly stallMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The pieces of a body, never more bytes than there must be. A stalled server is given up with a
 * `TimeoutError`; leaving the loop early, or an aborted signal, closes the connection.
 */
export async function* bodyPieces(
  { stream }: Body,
  { sizeBytes, clock, stallMs, signal }: BodyOptions,
): AsyncGenerator<Uint8Array> {
  const done = new AbortController();
  let waitsSince: number | undefined = clock.now();
  const stalledMs = () => (waitsSince === undefined ? 0 : clock.now() - waitsSince);
  const stalled = () => {
    stream.destroy(new DOMException(`no data within ${stallMs} ms`, 'TimeoutError'));
  };
  void whenReached(clock, stallMs, stalledMs, done.signal).then(stalled, () => undefined);
  const abort = () => stream.destroy(signal?.reason as Error);
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  let received = 0;
  try {
    for await (const piece of stream as AsyncIterable<Uint8Array>) {
      waitsSince = undefined;
      received += piece.length;
      if (sizeBytes !== undefined && received > sizeBytes) {
        throw new BrokenBody(`the answer has more than ${sizeBytes} bytes`);
      }
      yield piece;
      waitsSince = clock.now();
    }
    if (sizeBytes !== undefined && received < sizeBytes) {
      throw new BrokenBody(`the answer ended after ${received} of ${sizeBytes} bytes`);
    }
  } finally {
    done.abort();
    signal?.removeEventListener('abort', abort);
    stream.destroy();
  }
}

/** Resolves when `reading` has come to `ms`, where it never rises faster than the clock. */
async function whenReached(
  clock: Clock,
  ms: number,
  reading: () => number,
  signal: AbortSignal,
): Promise<void> {
  for (let left = ms; left > 0; left = ms - reading()) await clock.sleep(left, signal);
}

/**
 * How many bytes a body must have, if its headers tell.
 * @throws BrokenBody if they promise other bytes than those of `span`, or than the object has of them.
 */
export function promisedBytes(body: Body, { start, end }: Span): number | undefined {
  const { range, sizeBytes } = body;
  if (start === 0 && end === undefined) return sizeBytes;
  if (range === undefined) {
    if (start === 0 && sizeBytes !== undefined && sizeBytes <= end!) return sizeBytes;
    throw new BrokenBody(
      'it was asked for a part and sent the whole; check that no proxy drops the Range header',
    );
  }
  const numbers = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range)?.slice(1) ?? [];
  const [first = -1, last = -1, total = -1] = numbers.map(Number);
  const size = last - first + 1;
  const isToTheEnd = last + 1 === total;
  const isWhole = last + 1 === end || (isToTheEnd && (end === undefined || last < end));
  if (first === start && isWhole && (sizeBytes ?? size) === size) return size;
  const asked = `${start}-${end === undefined ? '' : end - 1}`;
  throw new BrokenBody(`it was asked for bytes ${asked} and sent "${range}"`);
}
