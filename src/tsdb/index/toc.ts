import { ByteReader } from '#/lib/byte-reader.ts';
import type { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { checkCrc } from './section.ts';

export const INDEX_MAGIC = 0xbaaad700;
/** Magic and version; symbols begin behind it. */
export const INDEX_HEADER_BYTES = 5;
export const TOC_BYTES = 52;

/** Where the sections of an index begin. Old writers only: label indices and their table. */
export interface Toc {
  readonly symbols: number;
  readonly series: number;
  readonly labelIndices: number;
  readonly labelIndicesTable: number;
  readonly postings: number;
  readonly postingsTable: number;
}

/**
 * Reads the table of contents from the last 52 bytes of an index: six 64-bit offsets and their
 * checksum. Where a section is missing, its offset equals that of the one behind it.
 * @throws CorruptionError if the checksum differs or the offsets cannot be those of such a file.
 */
export function readToc(last: Uint8Array, fileBytes: number): Toc {
  const base = fileBytes - TOC_BYTES;
  const reader = new ByteReader(last, 0, 'index table of contents', base);
  const body = reader.bytes(TOC_BYTES - 4);
  checkCrc(body, reader.uint32(), 'index table of contents', base);
  const offsets = new ByteReader(body, 0, 'index table of contents', base);
  const toc: Toc = {
    symbols: offsets.uint64(),
    series: offsets.uint64(),
    labelIndices: offsets.uint64(),
    labelIndicesTable: offsets.uint64(),
    postings: offsets.uint64(),
    postingsTable: offsets.uint64(),
  };
  const ordered = [
    INDEX_HEADER_BYTES,
    toc.symbols,
    toc.series,
    toc.postings,
    toc.postingsTable,
    base,
  ];
  if (ordered.some((offset, i) => i > 0 && offset < ordered[i - 1]!)) {
    throw new CorruptionError(
      `index table of contents: offsets ${ordered.slice(1, -1).join(', ')} are out of order for a file of ${fileBytes} bytes`,
    );
  }
  return toc;
}

export function writeToc(writer: ByteWriter, toc: Toc): void {
  const start = writer.length;
  writer.uint64(toc.symbols);
  writer.uint64(toc.series);
  writer.uint64(toc.labelIndices);
  writer.uint64(toc.labelIndicesTable);
  writer.uint64(toc.postings);
  writer.uint64(toc.postingsTable);
  writer.uint32(crc32c(writer.written(start)));
}

/** @throws CorruptionError if these are not the first bytes of an index that we can read. */
export function readIndexVersion(first: Uint8Array): 1 | 2 {
  const reader = new ByteReader(first, 0, 'index');
  const magic = reader.uint32();
  if (magic !== INDEX_MAGIC) {
    throw reader.error(`magic 0x${INDEX_MAGIC.toString(16)}`, `0x${magic.toString(16)}`, 0);
  }
  const version = reader.uint8();
  if (version === 1) return 1;
  // Version 3 has the layout of 2.
  if (version === 2 || version === 3) return 2;
  throw reader.error('version 1, 2 or 3', `${version}`, 4);
}
