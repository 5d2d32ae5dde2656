import type { Clock } from '#/lib/clock.ts';
import type { Body, Span } from './service.ts';

/** A body that is not what its headers promised, or not what was asked for. */
export class BrokenBody extends Error {
  override readonly name = 'BrokenBody';
}

interface BodyOptions {
  readonly clock: Clock;
  /** How long the server may send nothing while a piece is wanted. */
  readonly stallMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The pieces of a body, as many bytes as its headers promised. A stalled server is given up with a
 * `TimeoutError`; leaving the loop early, or an aborted signal, closes the connection.
 */
export async function* bodyPieces(
  { stream, sizeBytes }: Body,
  { clock, stallMs, signal }: BodyOptions,
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
      yield piece;
      waitsSince = clock.now();
    }
    if (sizeBytes !== undefined && received !== sizeBytes) {
      throw new BrokenBody(`the answer has ${received} bytes instead of ${sizeBytes}`);
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
 * Whether the headers promise the bytes of `span`, or those that the object has of them.
 * @throws BrokenBody if they promise others.
 */
export function checkRange({ range, sizeBytes }: Body, { start, end }: Span): void {
  if (start === 0 && end === undefined) return;
  if (range === undefined) {
    if (start === 0 && sizeBytes !== undefined && sizeBytes <= end!) return;
    throw new BrokenBody(
      'it was asked for a part and sent the whole; check that no proxy drops the Range header',
    );
  }
  const [first, last, total] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? [])
    .slice(1)
    .map(Number);
  const isPart =
    first === start &&
    (end === undefined
      ? last! + 1 === total
      : last! < end && (last! + 1 === end || last! + 1 === total)) &&
    (sizeBytes === undefined || sizeBytes === last! - first + 1);
  if (isPart) return;
  const asked = `${start}-${end === undefined ? '' : end - 1}`;
  throw new BrokenBody(`it was asked for bytes ${asked} and sent "${range}"`);
}
