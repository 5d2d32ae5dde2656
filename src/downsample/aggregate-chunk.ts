import { ByteReader } from '#/lib/byte-reader.ts';
import { ByteWriter } from '#/lib/byte-writer.ts';
import { ChunkEncoding, chunkSampleCount, isHistogramEncoding } from '#/tsdb/chunk.ts';
import type { EncodedChunk } from '#/tsdb/chunk.ts';

/** The lanes of a downsampled chunk in the order they are stored. */
export const lanes = ['count', 'sum', 'min', 'max', 'counter'] as const;
export type Lane = (typeof lanes)[number];

/** The chunk of each lane; absent ones were not written. */
export type AggregateLanes = { readonly [lane in Lane]?: EncodedChunk };

/**
 * Takes a downsampled chunk (encoding 0xFF) apart. For each lane in turn:
 *
 *     length <uvarint> | (encoding <1 byte> | data <length bytes>), only if length > 0
 *
 * The lanes' data are views into `data`. Format: pkg/compact/downsample/aggr.go in Thanos.
 * @throws CorruptionError if a lane runs past the chunk.
 */
export function readAggregateChunk(data: Uint8Array): AggregateLanes {
  const reader = new ByteReader(data, 0, 'aggregate chunk');
  const found: { [lane in Lane]?: EncodedChunk } = {};
  for (const lane of lanes) {
    const length = reader.uvarint32();
    if (length === 0) continue;
    const encoding = reader.uint8();
    found[lane] = { encoding, data: reader.bytes(length) };
  }
  return found;
}

const scratch = new ByteWriter(4096);

/** Puts lanes together; the twin of `readAggregateChunk`. */
export function writeAggregateChunk(found: AggregateLanes): Uint8Array {
  const writer = scratch;
  writer.clear();
  for (const lane of lanes) {
    const part = found[lane];
    writer.uvarint(part?.data.length ?? 0);
    if (part === undefined) continue;
    writer.uint8(part.encoding);
    writer.bytes(part.data);
  }
  return writer.toBytes();
}

/**
 * The samples of a chunk of any block: windows of a downsampled one, as its count lane has them (0
 * without that lane).
 * @throws CorruptionError if the chunk is damaged.
 */
export function anyChunkSampleCount(chunk: EncodedChunk): number {
  if (chunk.encoding !== ChunkEncoding.Aggregate) return chunkSampleCount(chunk);
  const { count } = readAggregateChunk(chunk.data);
  return count === undefined ? 0 : chunkSampleCount(count);
}

/** Whether the series was one of native histograms: its counter lane tells. */
export function aggregatesHistograms({ counter }: AggregateLanes): boolean {
  return counter !== undefined && isHistogramEncoding(counter.encoding);
}
