import type { Disk } from '#/lib/disk.ts';
import { isMissing } from '#/lib/disk.ts';
import { CorruptionError, NotFoundError } from '#/lib/errors.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { Labels } from '#/model/labels.ts';
import { fileRangeReader } from '#/storage/range-reader.ts';
import {
  CHUNKS_DIRNAME,
  INDEX_FILENAME,
  META_FILENAME,
  parseBlockMeta,
  TOMBSTONES_FILENAME,
} from './block-meta.ts';
import type { BlockMeta } from './block-meta.ts';
import { BlockScan } from './block-scan.ts';
import { ChunkFiles } from './block/chunk-files.ts';
import type { TimedChunk } from './chunk.ts';
import { IndexReader } from './index.ts';
import type { ChunkMeta } from './index.ts';
import type { Postings } from './postings.ts';
import { noTombstones, readTombstones } from './tombstones.ts';
import type { Interval, Tombstones } from './tombstones.ts';

/** A series of a block: its chunks are not read yet. */
export interface BlockSeries {
  readonly labels: Labels;
  readonly chunks: readonly ChunkMeta[];
  /** Deleted ranges: their samples are in the chunks and must not be seen. */
  readonly deleted: readonly Interval[];
}

/** Series of a batch: enough for reads of a useful size, few enough for their chunks' places. */
const SERIES_BATCH = 256;

/** An index of this size or less is read at once. */
const WHOLE_INDEX_BYTES = 1024 * 1024;

/** An opened block on the local disk. Everything that is read from it is checked. */
export class Block {
  readonly meta: BlockMeta;
  readonly index: IndexReader;
  readonly tombstones: Tombstones;
  readonly #chunks: ChunkFiles;

  private constructor(
    meta: BlockMeta,
    index: IndexReader,
    tombstones: Tombstones,
    chunks: ChunkFiles,
  ) {
    this.meta = meta;
    this.index = index;
    this.tombstones = tombstones;
    this.#chunks = chunks;
  }

  /**
   * Opens the block in `directory`.
   * @throws NotFoundError if `meta.json` or `index` is missing, CorruptionError if a file is damaged.
   */
  static async open(disk: Disk, directory: string, signal?: AbortSignal): Promise<Block> {
    const meta = await readBlockMeta(disk, directory);
    const tombstones = await openTombstones(disk, `${directory}/${TOMBSTONES_FILENAME}`);
    const index = await inBlock(directory, async () =>
      IndexReader.open(
        await fileRangeReader(disk, `${directory}/${INDEX_FILENAME}`, WHOLE_INDEX_BYTES),
        signal,
      ),
    );
    const chunks = new ChunkFiles(disk, `${directory}/${CHUNKS_DIRNAME}`);
    return new Block(meta, index, tombstones, chunks);
  }

  /** The series that all matchers select and that have a chunk in `[mint, maxt]`, in label order. */
  async select(
    matchers: readonly Matcher[],
    mint: number,
    maxt: number,
    signal?: AbortSignal,
  ): Promise<BlockSeries[]> {
    return this.#seriesOf(await this.index.select(matchers, signal), { mint, maxt }, signal);
  }

  /** All series with all their chunks, in label order. */
  async allSeries(signal?: AbortSignal): Promise<BlockSeries[]> {
    const all = { mint: Number.NEGATIVE_INFINITY, maxt: Number.POSITIVE_INFINITY };
    return this.#seriesOf(await this.index.allPostings(signal), all, signal);
  }

  /**
   * All series with all their chunks, in label order, a few hundred at a time: for whoever goes
   * through a whole block.
   */
  async *seriesBatches(signal?: AbortSignal): AsyncGenerator<BlockSeries[], void> {
    const all = { mint: Number.NEGATIVE_INFINITY, maxt: Number.POSITIVE_INFINITY };
    const postings = await this.index.allPostings(signal);
    for (let start = 0; start < postings.length; start += SERIES_BATCH) {
      yield await this.#seriesOf(postings.subarray(start, start + SERIES_BATCH), all, signal);
    }
  }

  /** For whoever goes through a whole block and takes chunks as they are. */
  async scan(signal?: AbortSignal): Promise<BlockScan> {
    const cursor = await this.index.seriesCursor(signal);
    return new BlockScan(cursor, this.tombstones, this.#chunks, signal);
  }

  /**
   * Reads chunks; the answer is in the order of `metas`. Chunks that lie near each other in a file are
   * read at once, so ask for many together.
   * @throws CorruptionError if a chunk is not where the index says, or its checksum differs.
   */
  async readChunks(metas: readonly ChunkMeta[], signal?: AbortSignal): Promise<TimedChunk[]> {
    const records = await this.#chunks.read(
      metas.map((meta) => meta.ref),
      signal,
    );
    return records.map(({ encoding, data }, i) => {
      const { mint, maxt } = metas[i]!;
      return { encoding, data, mint, maxt };
    });
  }

  async #seriesOf(
    postings: Postings,
    range: Interval,
    signal: AbortSignal | undefined,
  ): Promise<BlockSeries[]> {
    const series: BlockSeries[] = [];
    await this.index.forEachSeries(
      postings,
      (entry, id) => {
        const chunks = entry.chunksIn(range.mint, range.maxt);
        if (chunks.length === 0) return;
        const deleted = this.tombstones.get(id) ?? [];
        series.push({ labels: this.index.labelsOf(entry), chunks, deleted });
      },
      signal,
    );
    return series;
  }
}

/**
 * Reads the `meta.json` of a block's directory.
 * @throws NotFoundError if there is none, CorruptionError if it is damaged.
 */
export async function readBlockMeta(disk: Disk, directory: string): Promise<BlockMeta> {
  const path = `${directory}/${META_FILENAME}`;
  const bytes = await readIfPresent(disk, path);
  if (bytes === undefined) throw new NotFoundError(`${path}: no such file, so this is no block`);
  return parseBlockMeta(new TextDecoder().decode(bytes), path);
}

async function openTombstones(disk: Disk, path: string): Promise<Tombstones> {
  const bytes = await readIfPresent(disk, path);
  return bytes === undefined ? noTombstones : readTombstones(bytes, path);
}

async function readIfPresent(disk: Disk, path: string): Promise<Uint8Array | undefined> {
  try {
    return await disk.read(path);
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

/** Says of which block the damage is. */
async function inBlock<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    throw new CorruptionError(`block ${directory}: ${thrown.message}`, { cause: thrown });
  }
}
