import { CorruptionError } from '#/lib/errors.ts';
import { ByteReader } from '#/lib/byte-reader.ts';
import type { Labels } from '#/model/labels.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { RangeReader } from '#/storage/range-reader.ts';
import { SeriesCursor } from './index/series-cursor.ts';
import { openPostingsTable } from './index/postings-table.ts';
import type { PostingsRange, PostingsTable } from './index/postings-table.ts';
import { readSection } from './index/section.ts';
import { readSeriesBody, SERIES_ALIGNMENT } from './index/series-entry.ts';
import type { SeriesEntry } from './index/series-entry.ts';
import { SymbolTable } from './index/symbols.ts';
import { INDEX_HEADER_BYTES, readIndexVersion, readToc, TOC_BYTES } from './index/toc.ts';
import { ALL_POSTINGS, plannedLists, planPostings, selectPostings } from './postings-plan.ts';
import { decodePostings, noPostings } from './postings.ts';
import type { Postings } from './postings.ts';

export type { SymbolTable } from './index/symbols.ts';
export { readSection } from './index/section.ts';
export type { SeriesCursor } from './index/series-cursor.ts';
export { ChunkColumns, readSeriesBody, SeriesEntry } from './index/series-entry.ts';
export type { PostingsRange } from './index/postings-table.ts';
export type { ChunkMeta } from './index/series-entry.ts';

/** Bytes of the series section that are read at once. */
const SERIES_WINDOW_BYTES = 512 * 1024;
/** Series entries are at most about this long in practice; longer ones cost one more read. */
const SERIES_SIZE_GUESS = 64 * 1024;
/** A local reader looks up every label of every series it lists. */
const SYMBOL_CACHE_SLOTS = 32768;

/**
 * A block's index, read by range. Symbols and the table of postings lists are in memory, with every
 * 32nd entry decoded; lists and series entries are read when asked for. All checksums are checked:
 * what is returned is what was written, or a `CorruptionError`.
 */
export class IndexReader {
  readonly #bytes: RangeReader;
  readonly #version: 1 | 2;
  readonly #table: PostingsTable;
  readonly symbols: SymbolTable;

  private constructor(
    bytes: RangeReader,
    version: 1 | 2,
    symbols: SymbolTable,
    table: PostingsTable,
  ) {
    this.#bytes = bytes;
    this.#version = version;
    this.symbols = symbols;
    this.#table = table;
  }

  /** @throws CorruptionError if it is no index, or of a version that nobody writes, or damaged. */
  static async open(bytes: RangeReader, signal?: AbortSignal): Promise<IndexReader> {
    const size = bytes.sizeBytes;
    if (size < INDEX_HEADER_BYTES + TOC_BYTES) {
      throw new CorruptionError(
        `index: ${size} bytes, expected at least ${INDEX_HEADER_BYTES + TOC_BYTES}`,
      );
    }
    const version = readIndexVersion(await bytes.read(0, INDEX_HEADER_BYTES, signal));
    const toc = readToc(await bytes.read(size - TOC_BYTES, TOC_BYTES, signal), size);
    const symbolBytes = await bytes.read(toc.symbols, toc.series - toc.symbols, signal);
    const symbols = new SymbolTable(
      readSection(symbolBytes, 'index symbols', toc.symbols),
      version,
      toc.symbols + 4,
      SYMBOL_CACHE_SLOTS,
    );
    const end = size - TOC_BYTES;
    const tableBytes = await bytes.read(toc.postingsTable, end - toc.postingsTable, signal);
    const table = openPostingsTable(
      readSection(tableBytes, 'index postings table', toc.postingsTable),
      version,
      { base: toc.postingsTable + 4, lastEnd: toc.postingsTable },
    );
    return new IndexReader(bytes, version, symbols, table);
  }

  labelNames(): readonly string[] {
    return this.#table.names();
  }

  labelValues(name: string): string[] {
    return this.#table.values(name);
  }

  /** The series with this label, ascending; `('', '')` gives all series. */
  async postings(name: string, value: string, signal?: AbortSignal): Promise<Postings> {
    const range = this.#table.find(name, value);
    return range === undefined ? noPostings : this.#readPostings(range, signal);
  }

  allPostings(signal?: AbortSignal): Promise<Postings> {
    return this.postings(ALL_POSTINGS.name, ALL_POSTINGS.value, signal);
  }

  /** The series that all matchers select, ascending, which is by labels too. */
  async select(matchers: readonly Matcher[], signal?: AbortSignal): Promise<Postings> {
    const plan = planPostings(matchers, (name) => this.labelValues(name));
    if (plan === undefined) return noPostings;
    const lists = new Map<string, Postings>();
    for (const { name, value } of plannedLists(plan)) {
      lists.set(JSON.stringify([name, value]), await this.postings(name, value, signal));
    }
    return selectPostings(plan, (name, value) => lists.get(JSON.stringify([name, value])));
  }

  /**
   * Visits the entries of `series` (ascending) in order. The entry is reused: take what you need of
   * it before returning. Reads half a megabyte at a time.
   */
  async forEachSeries(
    series: Postings,
    visit: (entry: SeriesEntry, series: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const cursor = this.#cursorOver(series, signal);
    while (cursor.next() || (await cursor.load())) visit(cursor.entry, cursor.series);
  }

  /** Goes through all series in order. */
  async seriesCursor(signal?: AbortSignal): Promise<SeriesCursor> {
    return this.#cursorOver(await this.allPostings(signal), signal);
  }

  labelsOf(entry: SeriesEntry): Labels {
    return entry.labels((symbol) => this.symbols.lookup(symbol));
  }

  #cursorOver(series: Postings, signal: AbortSignal | undefined): SeriesCursor {
    return new SeriesCursor(series, {
      offsetOf: (id) => this.offsetOf(id),
      window: (from) =>
        this.#bytes.read(this.offsetOf(series[from]!), this.#windowBytes(series, from), signal),
      longBody: (offset) => this.#readLongBody(offset, signal),
    });
  }

  /** As far as the wanted entries lie within one window, plus room for the last. */
  #windowBytes(series: Postings, from: number): number {
    const start = this.offsetOf(series[from]!);
    let last = from;
    while (
      last + 1 < series.length &&
      this.offsetOf(series[last + 1]!) - start < SERIES_WINDOW_BYTES
    ) {
      last++;
    }
    return this.offsetOf(series[last]!) - start + SERIES_SIZE_GUESS;
  }

  /** For an entry that is longer than its window; and for one that passes the end of the file. */
  async #readLongBody(offset: number, signal?: AbortSignal): Promise<Uint8Array> {
    const first = await this.#bytes.read(offset, 10, signal);
    const head = new ByteReader(first, 0, 'index series entry', offset);
    const length = head.uvarint32();
    const body = readSeriesBody(
      await this.#bytes.read(offset, head.offset + length + 4, signal),
      0,
      offset,
    );
    if (body !== undefined) return body;
    throw head.error('an entry that ends inside the file', `a length of ${length} bytes`, 0);
  }

  async #readPostings(range: PostingsRange, signal?: AbortSignal): Promise<Postings> {
    const where = `index postings list`;
    const bytes = await this.#bytes.read(range.start, range.end - range.start, signal);
    return decodePostings(
      readSection(bytes, where, range.start),
      `${where} at offset ${range.start}`,
    );
  }

  /** Where the entry of a series begins in the file. */
  offsetOf(series: number): number {
    return this.#version === 1 ? series : series * SERIES_ALIGNMENT;
  }
}
