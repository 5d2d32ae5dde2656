import type { ByteReader } from '#/lib/byte-reader.ts';
import type { ByteWriter } from '#/lib/byte-writer.ts';
import { Aggregates } from '#/storeapi/store.ts';
import type { Aggregate, AggregateChunk, EncodedChunk } from '#/storeapi/store.ts';

/**
 * The chunks of each replica of a series. The first of several are those of no replica, or of all:
 * compaction has merged them. There may be none.
 */
export type Replicas = readonly (readonly AggregateChunk[])[];

/** Of a chunk and of a part of it, besides the data. */
const CHUNK_BYTES = 17;
const PART_BYTES = 5;

/**
 * Writes the chunks of a series for another thread of this process:
 *
 *     replicas <uint32> | (chunks <uint32> | (mint, maxt <float64> | parts <uint8> | part …) …) …
 *
 * Bit i of `parts` is set where `Aggregates[i]` is there; a part is `encoding <uint8> | length
 * <uint32> | data`.
 */
export function writeReplicas(replicas: Replicas, into: ByteWriter): void {
  into.uint32(replicas.length);
  for (const chunks of replicas) {
    into.uint32(chunks.length);
    for (const chunk of chunks) writeChunk(chunk, into);
  }
}

function writeChunk(chunk: AggregateChunk, into: ByteWriter): void {
  into.float64(chunk.mint);
  into.float64(chunk.maxt);
  let parts = 0;
  for (let i = 0; i < Aggregates.length; i++) {
    if (chunk[Aggregates[i]!] !== undefined) parts |= 1 << i;
  }
  into.uint8(parts);
  for (let i = 0; i < Aggregates.length; i++) {
    const part = chunk[Aggregates[i]!];
    if (part === undefined) continue;
    into.uint8(part.encoding);
    into.uint32(part.data.length);
    into.bytes(part.data);
  }
}

/** How many bytes `writeReplicas` writes. */
export function replicasSize(replicas: Replicas): number {
  let size = 4;
  for (const chunks of replicas) {
    size += 4;
    for (const chunk of chunks) {
      size += CHUNK_BYTES;
      for (let i = 0; i < Aggregates.length; i++) {
        const part = chunk[Aggregates[i]!];
        if (part !== undefined) size += PART_BYTES + part.data.length;
      }
    }
  }
  return size;
}

/** What `writeReplicas` wrote; the data are views into the reader's bytes. */
export function readReplicas(from: ByteReader): Replicas {
  return Array.from({ length: from.uint32() }, () =>
    Array.from({ length: from.uint32() }, () => readChunk(from)),
  );
}

function readChunk(from: ByteReader): AggregateChunk {
  const mint = from.float64();
  const maxt = from.float64();
  const parts = from.uint8();
  const chunk: { -readonly [A in Aggregate]?: EncodedChunk } = {};
  for (let i = 0; i < Aggregates.length; i++) {
    if ((parts & (1 << i)) === 0) continue;
    const encoding = from.uint8();
    chunk[Aggregates[i]!] = { encoding, data: from.bytes(from.uint32()) };
  }
  return { mint, maxt, ...chunk };
}
