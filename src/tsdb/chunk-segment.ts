import { ByteReader } from '#/lib/byte-reader.ts';
import { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { CorruptionError } from '#/lib/errors.ts';
import type { EncodedChunk } from './chunk.ts';

const MAGIC = 0x85bd40dd;
const VERSION = 1;

/** Length of the header, and so the offset of the first chunk. */
export const SEGMENT_HEADER_BYTES = 8;
/** Where Prometheus begins a new segment file. */
export const SEGMENT_LIMIT_BYTES = 512 * 1024 * 1024;

/** The uvarint in front of a record is no longer than this. */
const MAX_LENGTH_BYTES = 5;
/** Bytes before the data of a chunk record at most: its length and the encoding. */
export const MAX_RECORD_HEAD_BYTES = MAX_LENGTH_BYTES + 1;

/** `000001` for segment 0: files count from one, references from zero. */
export function segmentFileName(segment: number): string {
  return String(segment + 1).padStart(6, '0');
}

/** A chunk's place: the reference of the index is `segment · 2^32 + offset`. */
export interface ChunkPlace {
  readonly segment: number;
  readonly offset: number;
}

export function placeOf(ref: number): ChunkPlace {
  return { segment: Math.floor(ref / 0x100000000), offset: ref % 0x100000000 };
}

export function refOf({ segment, offset }: ChunkPlace): number {
  return segment * 0x100000000 + offset;
}

/** @throws CorruptionError if these are not the first bytes of a segment file. */
export function checkSegmentHeader(segment: Uint8Array, where: string): void {
  const reader = new ByteReader(segment, 0, where);
  const magic = reader.uint32();
  if (magic !== MAGIC) throw reader.error(`magic ${hex(MAGIC)}`, hex(magic), 0);
  const version = reader.uint8();
  if (version !== VERSION) throw reader.error(`version ${VERSION}`, `${version}`, 4);
}

export function segmentHeader(): Uint8Array {
  const writer = new ByteWriter(SEGMENT_HEADER_BYTES);
  writer.uint32(MAGIC);
  writer.uint8(VERSION);
  writer.zeros(3);
  return writer.toBytes();
}

/** A chunk as it stands in a segment file. */
export interface ChunkRecord extends EncodedChunk {
  /** Of the whole record, from the length to the checksum. */
  readonly sizeBytes: number;
}

/**
 * Reads the chunk record at `offset` of `bytes`, a segment file or a part of one:
 *
 *     len <uvarint> | encoding <1 byte> | data <len bytes> | crc32c <4 bytes, big-endian>
 *
 * The checksum covers encoding and data. `data` is a view into `bytes`, not a copy. Messages name
 * offsets in the file, whose byte `base` is the first of `bytes`.
 * Format: tsdb/docs/format/chunks.md in Prometheus.
 * @throws CorruptionError if the record runs past the bytes or its checksum differs.
 */
export function readChunkRecord(
  bytes: Uint8Array,
  offset: number,
  where = 'chunk',
  base = 0,
): ChunkRecord {
  const reader = new ByteReader(bytes, offset, where, base);
  const length = reader.uvarint32();
  const start = reader.offset;
  const end = start + 1 + length;
  reader.skip(1 + length);
  const want = reader.uint32();
  const got = crc32c(bytes, 0, start, end);
  if (got !== want) {
    throw new CorruptionError(
      `${where} at offset ${base + offset}: crc32c of a chunk is ${hex(got)}, the record says ${hex(want)}`,
    );
  }
  // No `subarray`: it looks up the species of the array, which takes longer than all else here.
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset + start + 1, length);
  return { encoding: bytes[start]!, data, sizeBytes: reader.offset - offset };
}

/** The size of the whole record at `offset`, or `undefined` if `bytes` end before its length does. */
export function recordSize(bytes: Uint8Array, offset: number): number | undefined {
  const last = Math.min(bytes.length, offset + MAX_LENGTH_BYTES);
  let length = 0;
  let scale = 1;
  for (let at = offset; at < last; at++) {
    const byte = bytes[at]!;
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) return at + 1 - offset + 1 + length + 4;
    scale *= 0x80;
  }
  return undefined;
}

/** Appends the record of a chunk. */
export function writeChunkRecord(writer: ByteWriter, chunk: EncodedChunk): void {
  writer.uvarint(chunk.data.length);
  const body = writer.length;
  writer.uint8(chunk.encoding);
  writer.bytes(chunk.data);
  writer.uint32(crc32c(writer.written(body)));
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
