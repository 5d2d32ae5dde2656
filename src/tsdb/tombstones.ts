import { ByteReader } from '#/lib/byte-reader.ts';
import { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { CorruptionError } from '#/lib/errors.ts';

const MAGIC = 0x0130ba30;
const VERSION = 1;
const HEADER_BYTES = 5;

/** A closed range of milliseconds. */
export interface Interval {
  readonly mint: number;
  readonly maxt: number;
}

/** Deleted ranges by series (its number in the index): in time order, apart from each other. */
export type Tombstones = ReadonlyMap<number, readonly Interval[]>;

export const noTombstones: Tombstones = new Map();

/**
 * Reads the tombstones file of a block:
 *
 *     magic <4 bytes> | 1 <1 byte>
 *     | (series <uvarint> | mint <varint> | maxt <varint>) per deleted range
 *     | crc32c of the ranges <4 bytes>
 *
 * Overlapping and adjacent ranges of a series are joined.
 * Format: tsdb/docs/format/tombstones.md in Prometheus.
 * @throws CorruptionError if it is no such file or its checksum differs.
 */
export function readTombstones(file: Uint8Array, where = 'tombstones'): Tombstones {
  const reader = new ByteReader(file, 0, where);
  const magic = reader.uint32();
  if (magic !== MAGIC)
    throw reader.error(`magic 0x${MAGIC.toString(16)}`, `0x${magic.toString(16)}`, 0);
  const version = reader.uint8();
  if (version !== VERSION) throw reader.error(`version ${VERSION}`, `${version}`, 4);
  if (reader.remaining < 4)
    throw reader.error('a checksum of 4 bytes', `${reader.remaining} bytes`);
  const stones = reader.bytes(reader.remaining - 4);
  const want = reader.uint32();
  const got = crc32c(stones);
  if (got !== want) {
    throw new CorruptionError(
      `${where}: crc32c is 0x${got.toString(16)}, the file says 0x${want.toString(16)}`,
    );
  }
  return parseStones(new ByteReader(stones, 0, where, HEADER_BYTES));
}

/** The bytes of a tombstones file, series ascending. */
export function writeTombstones(tombstones: Tombstones): Uint8Array {
  const writer = new ByteWriter();
  writer.uint32(MAGIC);
  writer.uint8(VERSION);
  for (const series of [...tombstones.keys()].sort((a, b) => a - b)) {
    for (const { mint, maxt } of tombstones.get(series)!) {
      writer.uvarint(series);
      writer.varint(mint);
      writer.varint(maxt);
    }
  }
  writer.uint32(crc32c(writer.written(HEADER_BYTES)));
  return writer.toBytes();
}

/** The intervals in time order, those that overlap or touch joined into one. */
export function joinIntervals(intervals: readonly Interval[]): Interval[] {
  const joined: Interval[] = [];
  for (const interval of intervals.toSorted((a, b) => a.mint - b.mint)) {
    const last = joined.at(-1);
    if (last === undefined || interval.mint > last.maxt + 1) joined.push(interval);
    else joined[joined.length - 1] = { mint: last.mint, maxt: Math.max(last.maxt, interval.maxt) };
  }
  return joined;
}

function parseStones(reader: ByteReader): Tombstones {
  const bySeries = new Map<number, Interval[]>();
  while (reader.remaining > 0) {
    const series = reader.uvarint();
    // Ranges may be open towards ±2^63, which no double but its neighbours can hold.
    const mint = Number(reader.varint64());
    const maxt = Number(reader.varint64());
    const intervals = bySeries.get(series);
    if (intervals === undefined) bySeries.set(series, [{ mint, maxt }]);
    else intervals.push({ mint, maxt });
  }
  return new Map([...bySeries].map(([series, intervals]) => [series, joinIntervals(intervals)]));
}
