import { ByteReader } from '#/lib/byte-reader.ts';
import { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { CorruptionError } from '#/lib/errors.ts';
import type { RangeReader } from '#/storage/range-reader.ts';
import { openPostingsTable } from './index/postings-table.ts';
import type { PostingsRange, PostingsTable } from './index/postings-table.ts';
import { checkCrc, readSection } from './index/section.ts';
import { SERIES_ALIGNMENT } from './index/series-entry.ts';
import { SymbolTable } from './index/symbols.ts';
import { INDEX_HEADER_BYTES, readIndexVersion, readToc, TOC_BYTES } from './index/toc.ts';

export const INDEX_HEADER_FILENAME = 'index-header';

const MAGIC = 0xbaaad792;
const VERSION = 1;
const HEAD_BYTES = 14;
const TAIL_BYTES = 20;
/** Length word and checksum around the body of a section. */
const LENGTH_BYTES = 4;
const CRC_BYTES = 4;

/**
 * Makes the index-header of an index: the parts of it that every query needs, so that a store
 * gateway does not have to hold the whole. Reads the ends of the index and those parts, nothing else.
 *
 *     magic <4 bytes> | 1 <1 byte> | index version <1 byte> | end of the last postings list <8 bytes>
 *     | symbols section of the index | postings table of the index and all behind it
 *     | place of the symbols <8 bytes> | place of the table <8 bytes> | crc32c of the places <4 bytes>
 *
 * Byte for byte what Thanos writes (pkg/block/indexheader), so that either finds the other's files.
 * @throws CorruptionError if the index is damaged where it was read.
 */
export async function buildIndexHeader(
  index: RangeReader,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const size = index.sizeBytes;
  if (size < INDEX_HEADER_BYTES + TOC_BYTES) {
    throw new CorruptionError(`index: ${size} bytes is too short for one`);
  }
  const [first, last] = await Promise.all([
    index.read(0, INDEX_HEADER_BYTES, signal),
    index.read(size - TOC_BYTES, TOC_BYTES, signal),
  ]);
  const version = readIndexVersion(first);
  const toc = readToc(last, size);
  const [symbols, table] = await Promise.all([
    index.read(toc.symbols, toc.series - toc.symbols, signal),
    index.read(toc.postingsTable, size - toc.postingsTable, signal),
  ]);
  readSection(symbols, 'index symbols', toc.symbols);
  readSection(table, 'index postings table', toc.postingsTable);
  return assemble(version, toc.postingsTable, symbols, table);
}

/**
 * An opened index-header: answers from memory what names, values, symbols and postings lists an index
 * has. The bytes stay in use as they are; every 32nd entry is decoded besides.
 */
export class IndexHeader {
  readonly #table: PostingsTable;
  readonly #symbols: SymbolTable;
  readonly indexVersion: 1 | 2;
  readonly sizeBytes: number;

  private constructor(version: 1 | 2, symbols: SymbolTable, table: PostingsTable, size: number) {
    this.indexVersion = version;
    this.#symbols = symbols;
    this.#table = table;
    this.sizeBytes = size;
  }

  /**
   * Opens the bytes of an index-header file, checking all checksums.
   * @throws CorruptionError if they are damaged: then build the header anew from the index.
   */
  static open(bytes: Uint8Array): IndexHeader {
    const where = 'index-header';
    const reader = new ByteReader(bytes, 0, where);
    const magic = reader.uint32();
    if (magic !== MAGIC) throw reader.error(`magic ${hex(MAGIC)}`, hex(magic), 0);
    const format = reader.uint8();
    if (format !== VERSION) throw reader.error(`version ${VERSION}`, `${format}`, 4);
    const version = reader.uint8();
    if (version !== 1 && version !== 2) throw reader.error('index version 1 or 2', `${version}`, 5);
    const lastEnd = reader.uint64();
    const places = readPlaces(bytes);
    checkLastEnd(bytes, places.table, lastEnd);
    const symbols = readSection(
      bytes.subarray(places.symbols, places.table),
      where,
      places.symbols,
    );
    const table = readSection(bytes.subarray(places.table), where, places.table);
    const base = INDEX_HEADER_BYTES + LENGTH_BYTES;
    return new IndexHeader(
      version,
      new SymbolTable(symbols, version, base),
      openPostingsTable(table, version, { base: places.table + LENGTH_BYTES, lastEnd }),
      bytes.length,
    );
  }

  /** In byte order. */
  labelNames(): readonly string[] {
    return this.#table.names();
  }

  /** In byte order; empty if the index does not have the label. */
  labelValues(name: string): string[] {
    return this.#table.values(name);
  }

  /**
   * Where the body of a postings list (`decodePostings`) stands in the index, without its length and
   * checksum; a few bytes of padding may follow it. `('', '')` is the list of all series; `undefined`
   * if no series has the label.
   */
  postingsRange(name: string, value: string): PostingsRange | undefined {
    const list = this.#table.find(name, value);
    return list && { start: list.start + LENGTH_BYTES, end: list.end - CRC_BYTES };
  }

  /** The text of a reference in a series entry. @throws CorruptionError if the index has none such. */
  symbol(ref: number): string {
    return this.#symbols.lookup(ref);
  }

  /** The reference of a text, or `undefined` if no label has it. For version 2. */
  symbolRef(text: string): number | undefined {
    return this.#symbols.find(text);
  }

  /** Where the entry of a series begins in the index. */
  seriesOffset(series: number): number {
    return this.indexVersion === 1 ? series : series * SERIES_ALIGNMENT;
  }
}

function assemble(
  version: number,
  lastEnd: number,
  symbols: Uint8Array,
  table: Uint8Array,
): Uint8Array {
  const writer = new ByteWriter(HEAD_BYTES + symbols.length + table.length + TAIL_BYTES);
  writer.uint32(MAGIC);
  writer.uint8(VERSION);
  writer.uint8(version);
  writer.uint64(lastEnd);
  writer.bytes(symbols);
  const tablePlace = writer.length;
  writer.bytes(table);
  const places = writer.length;
  writer.uint64(HEAD_BYTES);
  writer.uint64(tablePlace);
  writer.uint32(crc32c(writer.written(places)));
  return writer.written();
}

function readPlaces(bytes: Uint8Array): { readonly symbols: number; readonly table: number } {
  const base = bytes.length - TAIL_BYTES;
  if (base < HEAD_BYTES) {
    throw new CorruptionError(`index-header: ${bytes.length} bytes is too short for one`);
  }
  const reader = new ByteReader(bytes, base, 'index-header');
  const body = reader.bytes(TAIL_BYTES - CRC_BYTES);
  checkCrc(body, reader.uint32(), 'index-header table of contents', base);
  const offsets = new ByteReader(body, 0, 'index-header table of contents', base);
  const places = { symbols: offsets.uint64(), table: offsets.uint64() };
  if (places.symbols < HEAD_BYTES || places.table < places.symbols || places.table > base) {
    throw offsets.error('sections inside the file', `${places.symbols} and ${places.table}`, 0);
  }
  return places;
}

/** The copied end of the index tells, with a checksum, where the last list ends. */
function checkLastEnd(bytes: Uint8Array, table: number, lastEnd: number): void {
  const end = bytes.length - TAIL_BYTES;
  const copied = bytes.subarray(Math.max(table, end - TOC_BYTES), end);
  const toc = readToc(copied, lastEnd + end - table);
  if (toc.postingsTable === lastEnd) return;
  throw new CorruptionError(
    `index-header: the last postings list ends at ${lastEnd}, but at ${toc.postingsTable} in the index`,
  );
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
