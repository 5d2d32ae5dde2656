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
import { ChunkEncoding, chunkSampleCount, isHistogramEncoding } from './chunk.ts';
import type { TimedChunk } from './chunk.ts';
import {
  refOf,
  SEGMENT_HEADER_BYTES,
  SEGMENT_LIMIT_BYTES,
  segmentFileName,
  segmentHeader,
  writeChunkRecord,
} from './chunk-segment.ts';
import type { ChunkMeta } from './index.ts';
import { IndexWriter } from './index-writer.ts';
import { writeTombstones } from './tombstones.ts';

/** What the writer cannot count by itself; `stats` and the names of the segments are filled in. */
export type BlockIdentity = Omit<BlockMeta, 'stats' | 'version'>;

export interface BlockWriterOptions {
  readonly disk: Disk;
  /** Where the directory of the block, named by its ULID, goes. */
  readonly directory: string;
  /** Every name and value of the labels to come, sorted by bytes, each once; more are fine. */
  readonly symbols: Iterable<string>;
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
    if (chunks.length === 0) return;
    const batchBytes = chunks.reduce((sum, { data }) => sum + 5 + 1 + data.length + 4, 0);
    await this.#roomFor(batchBytes);
    const metas: ChunkMeta[] = [];
    for (const chunk of chunks) {
      const place = {
        segment: this.#segments - 1,
        offset: this.#segmentBytes + this.#segment.length,
      };
      metas.push({ mint: chunk.mint, maxt: chunk.maxt, ref: refOf(place) });
      writeChunkRecord(this.#segment, chunk);
      this.#count(chunk);
      if (this.#segment.length >= FLUSH_BYTES) await this.#flushSegment();
    }
    this.#stats.numSeries++;
    await this.#index.addSeries(labels, metas);
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

  /** Begins a segment file if there is none, or if `bytes` more would pass its limit. */
  async #roomFor(bytes: number): Promise<void> {
    const limit = this.#options.segmentLimitBytes ?? SEGMENT_LIMIT_BYTES;
    const used = this.#segmentBytes + this.#segment.length;
    const isEmpty = used <= SEGMENT_HEADER_BYTES;
    if (this.#segments > 0 && (isEmpty || used + bytes <= limit)) return;
    await this.#closeSegment();
    this.#segments++;
    this.#segmentBytes = 0;
    this.#segment.bytes(segmentHeader());
  }

  async #flushSegment(): Promise<void> {
    const bytes = this.#segment.toBytes();
    this.#segment.clear();
    this.#segmentBytes += bytes.length;
    await this.#disk.append(this.#segmentPath, bytes);
  }

  async #closeSegment(): Promise<void> {
    if (this.#segments === 0) return;
    await this.#flushSegment();
    await this.#disk.sync(this.#segmentPath);
  }

  get #segmentPath(): string {
    return `${this.#unfinished}/${CHUNKS_DIRNAME}/${segmentFileName(this.#segments - 1)}`;
  }

  #count(chunk: TimedChunk): void {
    const samples = this.#options.sampleCount?.(chunk) ?? chunkSampleCount(chunk);
    const stats = this.#stats;
    stats.numSamples += samples;
    stats.numChunks++;
    if (chunk.encoding === ChunkEncoding.Xor || chunk.encoding === ChunkEncoding.Xor2) {
      stats.numFloatSamples += samples;
    } else if (isHistogramEncoding(chunk.encoding)) {
      stats.numHistogramSamples += samples;
    }
  }
}

function unfinishedPath({ ulid }: BlockIdentity, { directory }: BlockWriterOptions): string {
  return `${directory}/${ulid}${UNFINISHED_SUFFIX}`;
}
