import { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { assert } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { SERIES_ALIGNMENT, writeSeriesEntry } from './index/series-entry.ts';
import type { ChunkMeta } from './index/series-entry.ts';
import { INDEX_MAGIC, writeToc } from './index/toc.ts';

/** Where the writer puts its bytes, in order. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

const FLUSH_BYTES = 1024 * 1024;
const MAX_SYMBOL_BYTES = 2 ** 32 - 1;

/**
 * Writes an index of version 2 front to back, as Prometheus since 3.7 does (no label indices). Memory
 * follows the symbols and the number of labels of all series, not chunks.
 *
 *     header | symbols | series | postings lists | postings table | table of contents
 */
export class IndexWriter {
  readonly #sink: Sink;
  readonly #out = new ByteWriter(FLUSH_BYTES + 4096);
  readonly #scratch = new ByteWriter();
  readonly #symbols = new Map<string, number>();
  /** Series by value by name; the values of a name in order of appearance until the end. */
  readonly #postings = new Map<string, Map<string, number[]>>();
  readonly #all: number[] = [];
  #flushed = 0;
  #seriesStart = 0;
  #lastLabels: Labels | undefined;
  #lastRef = 0;

  private constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** `symbols` holds every name and value of the labels to come; sorted by bytes, each once. */
  static async open(sink: Sink, symbols: Iterable<string>): Promise<IndexWriter> {
    const writer = new IndexWriter(sink);
    await writer.#writeHead(symbols);
    return writer;
  }

  /**
   * Appends a series: label sets ascend, its chunks are in time order, references ascend over the
   * whole file.
   */
  async addSeries(labels: Labels, chunks: readonly ChunkMeta[]): Promise<void> {
    assert(
      this.#lastLabels === undefined || compareLabels(this.#lastLabels, labels) < 0,
      'series must be written in the order of their labels, each once',
    );
    this.#lastLabels = labels;
    this.#checkChunks(chunks);
    this.#pad(SERIES_ALIGNMENT);
    const id = this.#position / SERIES_ALIGNMENT;
    assert(id <= 0xffffffff, 'an index has at most 64 GiB of series');
    this.#all.push(id);
    const { flat } = labels;
    for (let i = 0; i < flat.length; i += 2) this.#addPosting(flat[i]!, flat[i + 1]!, id);
    writeSeriesEntry(
      this.#out,
      this.#scratch,
      flat.map((text) => this.#symbolOf(text)),
      chunks,
    );
    await this.#flushIfLarge();
  }

  /** Writes what follows the series. Nothing can be added afterwards. Returns the size of the index. */
  async finish(): Promise<number> {
    const postings = this.#position;
    const table = new ByteWriter(4096);
    let lists = 1;
    await this.#writePostings(table, '', '', this.#all);
    for (const name of [...this.#postings.keys()].sort(compareUtf8)) {
      const byValue = this.#postings.get(name)!;
      for (const value of [...byValue.keys()].sort(compareUtf8)) {
        await this.#writePostings(table, name, value, byValue.get(value)!);
        lists++;
      }
    }
    const postingsTable = this.#position;
    this.#section(lists, table.written());
    writeToc(this.#out, {
      symbols: HEAD_BYTES,
      series: this.#seriesStart,
      labelIndices: postings,
      labelIndicesTable: postingsTable,
      postings,
      postingsTable,
    });
    await this.#flush();
    return this.#flushed;
  }

  async #writeHead(symbols: Iterable<string>): Promise<void> {
    this.#out.uint32(INDEX_MAGIC);
    this.#out.uint8(2);
    const texts = new ByteWriter(4096);
    let previous: string | undefined;
    for (const symbol of symbols) {
      assert(
        previous === undefined || compareUtf8(previous, symbol) < 0,
        'symbols must be sorted and each occur once',
      );
      previous = symbol;
      this.#symbols.set(symbol, this.#symbols.size);
      texts.string(symbol);
    }
    assert(texts.length <= MAX_SYMBOL_BYTES, 'an index has at most 4 GiB of symbols');
    this.#section(this.#symbols.size, texts.written());
    this.#seriesStart = this.#position;
    await this.#flushIfLarge();
  }

  async #writePostings(
    table: ByteWriter,
    name: string,
    value: string,
    series: readonly number[],
  ): Promise<void> {
    this.#pad(4);
    table.uvarint(2);
    table.string(name);
    table.string(value);
    table.uvarint(this.#position);
    const ids = this.#scratch;
    ids.clear();
    for (const id of series) ids.uint32(id);
    this.#section(series.length, ids.written());
    await this.#flushIfLarge();
  }

  /** `len | count | rest | crc32c`; the checksum covers count and rest. */
  #section(count: number, rest: Uint8Array): void {
    this.#out.uint32(4 + rest.length);
    const start = this.#out.length;
    this.#out.uint32(count);
    this.#out.bytes(rest);
    this.#out.uint32(crc32c(this.#out.written(start)));
  }

  #addPosting(name: string, value: string, id: number): void {
    let byValue = this.#postings.get(name);
    if (byValue === undefined) this.#postings.set(name, (byValue = new Map()));
    const series = byValue.get(value);
    if (series === undefined) byValue.set(value, [id]);
    else series.push(id);
  }

  #symbolOf(text: string): number {
    const symbol = this.#symbols.get(text);
    assert(symbol !== undefined, `"${text}" must be one of the symbols`);
    return symbol;
  }

  #checkChunks(chunks: readonly ChunkMeta[]): void {
    let maxt = Number.NEGATIVE_INFINITY;
    for (const chunk of chunks) {
      assert(chunk.mint <= chunk.maxt, 'a chunk must not end before it begins');
      assert(chunk.mint > maxt, 'chunks of a series must be in time order and apart');
      assert(chunk.ref >= this.#lastRef, 'chunk references must ascend');
      maxt = chunk.maxt;
      this.#lastRef = chunk.ref;
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
    const bytes = this.#out.toBytes();
    this.#flushed += bytes.length;
    this.#out.clear();
    await this.#sink(bytes);
  }
}

/** Magic and version. */
const HEAD_BYTES = 5;
