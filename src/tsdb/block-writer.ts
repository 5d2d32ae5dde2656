import { ByteWriter } from '#/lib/byte-writer.ts';
import type { Disk } from '#/lib/disk.ts';
import { assert } from '#/lib/errors.ts';
import type { Labels } from '#/model/labels.ts';
import type { BlockMeta, BlockStats } from './block-meta.ts';
import {
  CHUNKS_DIRNAME,
  emptyStats,
  INDEX_FILENAME,
  META_FILENAME,
  printBlockMeta,
  TOMBSTONES_FILENAME,
} from './block-meta.ts';
import { chunkSampleCount } from './chunk.ts';
import type { TimedChunk } from './chunk.ts';
import { ChunkRecords } from './chunk-records.ts';
import {
  refOf,
  SEGMENT_HEADER_BYTES,
  SEGMENT_LIMIT_BYTES,
  segmentFileName,
  segmentHeader,
} from './chunk-segment.ts';
import { IndexWriter } from './index-writer.ts';
import type { LabelSymbols, SymbolList } from './index-writer.ts';
import { writeTombstones } from './tombstones.ts';

/** What the writer cannot count by itself; `stats` and the names of the segments are filled in. */
export type BlockIdentity = Omit<BlockMeta, 'stats' | 'version'>;

export interface BlockWriterOptions {
  readonly disk: Disk;
  /** Where the directory of the block, named by its ULID, goes. */
  readonly directory: string;
  /** Every name and value of the labels to come, sorted by bytes, each once; more are fine. */
  readonly symbols: Iterable<string> | SymbolList;
  /** Where a new segment file begins; default as Prometheus. */
  readonly segmentLimitBytes?: number;
  /** Samples of a chunk that counts differently: aggregate chunks. Default: the chunk's header. */
  readonly sampleCount?: (chunk: TimedChunk) => number;
  /** What `meta.json` says, given what was counted; default just that. */
  readonly stats?: (counted: BlockStats) => BlockStats;
}

const FLUSH_BYTES = 1024 * 1024;
/** How a block in the making is called, so that it is never taken for a finished one. */
export const UNFINISHED_SUFFIX = '.tmp-for-creation';

/**
 * Writes a block series by series, with little memory. It comes to be under a temporary name and gets
 * its own by a rename when it is whole and on the medium; after a crash or a `close()` without
 * `finish()` there is no block.
 */
export class BlockWriter implements AsyncDisposable {
  readonly #disk: Disk;
  readonly #identity: BlockIdentity;
  readonly #options: BlockWriterOptions;
  readonly #unfinished: string;
  readonly #index: IndexWriter;
  readonly #segment = new ByteWriter(FLUSH_BYTES + 4096);
  readonly #records = new ChunkRecords();
  #segments = 0;
  #segmentBytes = 0;
  readonly #stats: { -readonly [count in keyof BlockStats]: number } = { ...emptyStats };
  #finished = false;

  private constructor(identity: BlockIdentity, options: BlockWriterOptions, index: IndexWriter) {
    this.#disk = options.disk;
    this.#identity = identity;
    this.#options = options;
    this.#unfinished = unfinishedPath(identity, options);
    this.#index = index;
  }

  static async open(identity: BlockIdentity, options: BlockWriterOptions): Promise<BlockWriter> {
    const { disk } = options;
    const path = unfinishedPath(identity, options);
    await disk.remove(path);
    await disk.makeDirectory(`${path}/${CHUNKS_DIRNAME}`);
    const sink = (bytes: Uint8Array) => disk.append(`${path}/${INDEX_FILENAME}`, bytes);
    return new BlockWriter(identity, options, await IndexWriter.open(sink, options.symbols));
  }

  /**
   * Appends a series: label sets ascend; its chunks are in time order and apart. One without chunks is
   * left out.
   */
  async addSeries(labels: Labels, chunks: readonly TimedChunk[]): Promise<void> {
    this.#records.clear();
    for (const chunk of chunks) {
      this.#records.append(chunk, this.#options.sampleCount?.(chunk) ?? chunkSampleCount(chunk));
    }
    if (chunks.length > 0) await this.addRecords(this.#index.symbolsOf(labels), this.#records);
  }

  /**
   * The same of chunks that are records already; the labels are numbers of the symbols. Nothing may be
   * added before the promise has resolved, if there is one: mostly there is nothing to wait for.
   */
  addRecords(labels: LabelSymbols, records: ChunkRecords): Promise<void> | undefined {
    if (records.length === 0) return undefined;
    if (this.#hasRoomFor(records.sizeBound)) return this.#add(labels, records);
    return this.#beginSegment().then(() => this.#add(labels, records));
  }

  #add(labels: LabelSymbols, records: ChunkRecords): Promise<void> | undefined {
    const place = {
      segment: this.#segments - 1,
      offset: this.#segmentBytes + this.#segment.length,
    };
    this.#segment.bytes(records.bytes);
    this.#count(records);
    const indexed = this.#index.addColumns(labels, records.columns, refOf(place));
    if (this.#segment.length < FLUSH_BYTES) return indexed;
    const flushed = this.#flushSegment();
    return indexed === undefined ? flushed : Promise.all([indexed, flushed]).then(() => undefined);
  }

  /** Samples of the series so far. */
  get sampleCount(): number {
    return this.#stats.numSamples;
  }

  /** Completes the block and gives it its name. Returns what its `meta.json` says. */
  async finish(): Promise<BlockMeta> {
    assert(!this.#finished, 'a block is finished once');
    await this.#closeSegment();
    await this.#index.finish();
    await this.#disk.sync(`${this.#unfinished}/${INDEX_FILENAME}`);
    const { directory } = this.#options;
    const { ulid, minTime, maxTime, compaction, thanos } = this.#identity;
    const segmentFiles = Array.from({ length: this.#segments }, (_, i) => segmentFileName(i));
    const meta: BlockMeta = {
      ulid,
      minTime,
      maxTime,
      stats: this.#options.stats?.(this.#stats) ?? { ...this.#stats },
      compaction,
      version: 1,
      ...(thanos === undefined ? {} : { thanos: { ...thanos, segmentFiles } }),
    };
    const write = (name: string, bytes: Uint8Array) =>
      this.#disk.write(`${this.#unfinished}/${name}`, bytes);
    await write(TOMBSTONES_FILENAME, writeTombstones(new Map()));
    await write(META_FILENAME, new TextEncoder().encode(printBlockMeta(meta)));
    await this.#disk.rename(this.#unfinished, `${directory}/${ulid}`);
    this.#finished = true;
    return meta;
  }

  /** Removes what was written if the block was not finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#finished) await this.#disk.remove(this.#unfinished);
  }

  /** Whether there is a segment file, which `bytes` more do not bring past its limit. */
  #hasRoomFor(bytes: number): boolean {
    const limit = this.#options.segmentLimitBytes ?? SEGMENT_LIMIT_BYTES;
    const used = this.#segmentBytes + this.#segment.length;
    const isEmpty = used <= SEGMENT_HEADER_BYTES;
    return this.#segments > 0 && (isEmpty || used + bytes <= limit);
  }

  async #beginSegment(): Promise<void> {
    await this.#closeSegment();
    this.#segments++;
    this.#segmentBytes = 0;
    this.#segment.bytes(segmentHeader());
  }

  async #flushSegment(): Promise<void> {
    const bytes = this.#segment.written();
    await this.#disk.append(this.#segmentPath, bytes);
    this.#segmentBytes += bytes.length;
    this.#segment.clear();
  }

  async #closeSegment(): Promise<void> {
    if (this.#segments === 0) return;
    await this.#flushSegment();
    await this.#disk.sync(this.#segmentPath);
  }

  get #segmentPath(): string {
    return `${this.#unfinished}/${CHUNKS_DIRNAME}/${segmentFileName(this.#segments - 1)}`;
  }

  #count({ length, samples, floatSamples, histogramSamples }: ChunkRecords): void {
    const stats = this.#stats;
    stats.numSeries++;
    stats.numChunks += length;
    stats.numSamples += samples;
    stats.numFloatSamples += floatSamples;
    stats.numHistogramSamples += histogramSamples;
  }
}

function unfinishedPath({ ulid }: BlockIdentity, { directory }: BlockWriterOptions): string {
  return `${directory}/${ulid}${UNFINISHED_SUFFIX}`;
}
