import { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { assert } from '#/lib/errors.ts';
import type { Labels } from '#/model/labels.ts';
import { PostingsCollector } from './index/postings-collector.ts';
import { ChunkColumns, SERIES_ALIGNMENT, writeSeriesEntry } from './index/series-entry.ts';
import type { ChunkMeta } from './index/series-entry.ts';
import { SymbolList } from './index/symbol-list.ts';
import { INDEX_HEADER_BYTES, INDEX_MAGIC, writeToc } from './index/toc.ts';

export { SymbolList } from './index/symbol-list.ts';
export { mergeSymbols } from './index/merge-symbols.ts';

/** Where the writer puts its bytes, in order; they are overwritten when the promise has resolved. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

/** Labels as numbers of symbols: the first `length` are name and value of each label in turn. */
export interface LabelSymbols {
  readonly symbols: readonly number[];
  readonly length: number;
}

const FLUSH_BYTES = 1024 * 1024;

/**
 * Writes an index of version 2 front to back, as Prometheus since 3.7 does (no label indices). Memory
 * follows the symbols and the number of labels of all series, not chunks.
 *
 *     header | symbols | series | postings lists | postings table | table of contents
 */
export class IndexWriter {
  readonly #sink: Sink;
  readonly #out = new ByteWriter(FLUSH_BYTES / 4);
  readonly #scratch = new ByteWriter();
  readonly #symbols: SymbolList;
  /** Made when the first labels come as texts. */
  #numbers: ReadonlyMap<string, number> | undefined;
  readonly #postings = new PostingsCollector();
  readonly #columns = new ChunkColumns();
  #flushed = 0;
  #seriesStart = 0;
  readonly #lastSymbols: number[] = [];
  #lastLength = 0;
  #lastRef = 0;

  private constructor(sink: Sink, symbols: SymbolList) {
    this.#sink = sink;
    this.#symbols = symbols;
  }

  /** `symbols` holds every name and value of the labels to come; texts are sorted by bytes, each once. */
  static async open(sink: Sink, symbols: Iterable<string> | SymbolList): Promise<IndexWriter> {
    const list = symbols instanceof SymbolList ? symbols : SymbolList.of(symbols);
    const writer = new IndexWriter(sink, list);
    await writer.#writeHead();
    return writer;
  }

  /**
   * Appends a series: label sets ascend, its chunks are in time order, references ascend over the
   * whole file.
   */
  async addSeries(labels: Labels, chunks: readonly ChunkMeta[]): Promise<void> {
    this.#columns.clear();
    for (const { mint, maxt, ref } of chunks) this.#columns.push(mint, maxt, ref);
    await this.addColumns(this.symbolsOf(labels), this.#columns, 0);
  }

  /**
   * The same of columns, whose references count from `firstRef`. Nothing may be added before the
   * promise has resolved, if there is one.
   */
  addColumns(
    labels: LabelSymbols,
    chunks: ChunkColumns,
    firstRef: number,
  ): Promise<void> | undefined {
    this.#checkLabels(labels);
    this.#checkChunks(chunks, firstRef);
    this.#pad(SERIES_ALIGNMENT);
    const id = this.#position / SERIES_ALIGNMENT;
    assert(id <= 0xffffffff, 'an index has at most 64 GiB of series');
    this.#postings.add(id, labels.symbols, labels.length);
    writeSeriesEntry(this.#out, this.#scratch, labels, chunks, firstRef);
    return this.#out.length >= FLUSH_BYTES ? this.#flush() : undefined;
  }

  /** The numbers of labels that are given as texts. */
  symbolsOf({ flat }: Labels): LabelSymbols {
    this.#numbers ??= this.#symbols.numbers();
    const symbols: number[] = [];
    for (const text of flat) {
      const symbol = this.#numbers.get(text);
      assert(symbol !== undefined, `"${text}" must be one of the symbols`);
      symbols.push(symbol);
    }
    return { symbols, length: symbols.length };
  }

  /** Writes what follows the series. Nothing can be added afterwards. Returns the size of the index. */
  async finish(): Promise<number> {
    const postings = this.#position;
    const table = new ByteWriter(4096);
    await this.#writePostings(table, undefined, this.#postings.all());
    for (const list of this.#postings.lists()) await this.#writePostings(table, list, list.series);
    const postingsTable = this.#position;
    await this.#section(1 + this.#postings.size, table.written());
    writeToc(this.#out, {
      symbols: INDEX_HEADER_BYTES,
      series: this.#seriesStart,
      labelIndices: postings,
      labelIndicesTable: postingsTable,
      postings,
      postingsTable,
    });
    await this.#flush();
    return this.#flushed;
  }

  async #writeHead(): Promise<void> {
    this.#out.uint32(INDEX_MAGIC);
    this.#out.uint8(2);
    await this.#section(this.#symbols.length, this.#symbols.records);
    this.#seriesStart = this.#position;
    await this.#flushIfLarge();
  }

  /** The list of a label, or without one that of all series. */
  async #writePostings(
    table: ByteWriter,
    label: { readonly name: number; readonly value: number } | undefined,
    series: Uint32Array,
  ): Promise<void> {
    this.#pad(4);
    table.uvarint(2);
    if (label === undefined) {
      table.string('');
      table.string('');
    } else {
      table.bytes(this.#symbols.record(label.name));
      table.bytes(this.#symbols.record(label.value));
    }
    table.uvarint(this.#position);
    this.#out.uint32(4 + 4 * series.length);
    const start = this.#out.length;
    this.#out.uint32(series.length);
    this.#out.uint32s(series);
    this.#out.uint32(crc32c(this.#out.written(start)));
    await this.#flushIfLarge();
  }

  /** `len | count | rest | crc32c`; the checksum covers count and rest. */
  async #section(count: number, rest: Uint8Array): Promise<void> {
    this.#out.uint32(4 + rest.length);
    const start = this.#out.length;
    this.#out.uint32(count);
    const crc = crc32c(rest, crc32c(this.#out.written(start)));
    if (rest.length < FLUSH_BYTES) this.#out.bytes(rest);
    else {
      await this.#flush();
      await this.#sink(rest);
      this.#flushed += rest.length;
    }
    this.#out.uint32(crc);
  }

  /** Symbols are numbered in the order of their texts, so numbers are compared. */
  #checkLabels({ symbols, length }: LabelSymbols): void {
    const last = this.#lastSymbols;
    const shared = Math.min(length, this.#lastLength);
    let at = 0;
    while (at < shared && symbols[at] === last[at]) at++;
    const ascends = at < shared ? symbols[at]! > last[at]! : length > this.#lastLength;
    assert(
      ascends || this.#postings.isEmpty,
      'series must be written in the order of their labels, each once',
    );
    for (; at < length; at++) last[at] = symbols[at]!;
    this.#lastLength = length;
  }

  #checkChunks({ mints, maxts, refs, length }: ChunkColumns, firstRef: number): void {
    let end = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < length; i++) {
      const ref = firstRef + refs[i]!;
      assert(mints[i]! <= maxts[i]!, 'a chunk must not end before it begins');
      assert(mints[i]! > end, 'chunks of a series must be in time order and apart');
      assert(ref >= this.#lastRef, 'chunk references must ascend');
      end = maxts[i]!;
      this.#lastRef = ref;
    }
  }

  get #position(): number {
    return this.#flushed + this.#out.length;
  }

  #pad(alignment: number): void {
    this.#out.zeros((alignment - (this.#position % alignment)) % alignment);
  }

  async #flushIfLarge(): Promise<void> {
    if (this.#out.length >= FLUSH_BYTES) await this.#flush();
  }

  async #flush(): Promise<void> {
    const bytes = this.#out.written();
    await this.#sink(bytes);
    this.#flushed += bytes.length;
    this.#out.clear();
  }
}
