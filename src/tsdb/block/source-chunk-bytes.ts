import type { ByteReader } from '#/lib/byte-reader.ts';
import type { ByteWriter } from '#/lib/byte-writer.ts';
import type { SourceChunk } from '../merge-chunks.ts';

/** Of a chunk and of a deleted interval, besides the data. */
const CHUNK_BYTES = 25;
const INTERVAL_BYTES = 16;

/**
 * Writes the chunks of a series for another thread of this process:
 *
 *     chunks <uint32> | (mint, maxt <float64> | encoding <uint8> | length <uint32> | data
 *     | intervals <uint32> | (mint, maxt <float64>) …) …
 */
export function writeSourceChunks(sources: readonly SourceChunk[], into: ByteWriter): void {
  into.uint32(sources.length);
  for (const { chunk, deleted } of sources) {
    into.float64(chunk.mint);
    into.float64(chunk.maxt);
    into.uint8(chunk.encoding);
    into.uint32(chunk.data.length);
    into.bytes(chunk.data);
    into.uint32(deleted.length);
    for (const { mint, maxt } of deleted) {
      into.float64(mint);
      into.float64(maxt);
    }
  }
}

/** How many bytes `writeSourceChunks` writes. */
export function sourceChunksSize(sources: readonly SourceChunk[]): number {
  let size = 4;
  for (const { chunk, deleted } of sources) {
    size += CHUNK_BYTES + chunk.data.length + INTERVAL_BYTES * deleted.length;
  }
  return size;
}

/** What `writeSourceChunks` wrote; the data are views into the reader's bytes. */
export function readSourceChunks(from: ByteReader): SourceChunk[] {
  return Array.from({ length: from.uint32() }, () => {
    const [mint, maxt, encoding] = [from.float64(), from.float64(), from.uint8()];
    const data = from.bytes(from.uint32());
    const deleted = Array.from({ length: from.uint32() }, () => {
      return { mint: from.float64(), maxt: from.float64() };
    });
    return { chunk: { mint, maxt, encoding, data }, deleted };
  });
}
