/** The whole stream in one piece, which is the caller's own. */
export async function collect(
  stream: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of stream) {
    signal?.throwIfAborted();
    // A source may fill the same buffer again once it is asked for more.
    pieces.push(piece.slice());
    length += piece.length;
  }
  return concat(pieces, length);
}

/**
 * Cuts a stream into parts of exactly `partBytes`, the last one shorter (and empty only when the
 * stream is). Each part is a buffer of its own, so that it can be sent more than once.
 */
export async function* inParts(
  stream: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  let parts = 0;
  for await (let piece of stream) {
    while (length + piece.length > partBytes) {
      const room = partBytes - length;
      pieces.push(piece.subarray(0, room));
      yield concat(pieces, partBytes);
      parts++;
      piece = piece.subarray(room);
      pieces = [];
      length = 0;
    }
    if (piece.length > 0) pieces.push(piece.slice());
    length += piece.length;
  }
  if (length > 0 || parts === 0) yield concat(pieces, length);
}

export function concat(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}
