import { CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { RangeReader } from '#/storage/range-reader.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { CHUNKS_DIRNAME, INDEX_FILENAME, META_FILENAME } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import {
  checkSegmentHeader,
  placeOf,
  readChunkRecord,
  recordSize,
  SEGMENT_HEADER_BYTES,
  segmentFileName,
} from '#/tsdb/chunk-segment.ts';
import { ChunkEncoding, decodeChunk } from '#/tsdb/chunk.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import { ChunkColumns, IndexReader } from '#/tsdb/index.ts';
import { storedFiles } from './block-files.ts';

/** The most that is read of a segment file at once. */
const WINDOW_BYTES = 8 * 1024 * 1024;
/** After this many damaged chunks the rest of a block is not told one by one. */
const MAX_DAMAGES = 20;

/** Which of the files that its meta names a block has not, or not in their size. Costs one listing. */
export async function checkFiles(
  bucket: Bucket,
  { ulid, thanos }: BlockMeta,
  signal: AbortSignal,
): Promise<string[]> {
  const stored = await storedFiles(bucket, ulid, signal);
  const named = (thanos?.files ?? []).filter(({ relPath }) => relPath !== META_FILENAME);
  const problems = named.flatMap(({ relPath, sizeBytes }) => {
    const found = stored.get(relPath);
    if (found === undefined) return [`${relPath} is missing`];
    if (sizeBytes === 0 || found === sizeBytes) return [];
    return [`${relPath} has ${found} bytes, but ${META_FILENAME} says ${sizeBytes}`];
  });
  // Metas of old versions name no files.
  if (named.length === 0 && !stored.has(INDEX_FILENAME)) problems.push('index is missing');
  return problems;
}

/** What is wrong with the block's index, in Thanos's words. Reads the index, by range, once. */
export async function checkIndex(
  bucket: Bucket,
  meta: BlockMeta,
  signal: AbortSignal,
): Promise<string[]> {
  return orDamage(async () => {
    const index = await openBlockIndex(bucket, meta.ulid, signal);
    const issues = healthIssues(await indexHealth(index, meta, signal));
    return issues.map(({ message }) => message);
  });
}

/**
 * What is wrong with the bytes of the block: postings lists and chunks with a wrong checksum, and
 * chunks that are not where the index says, cannot be decoded, or have other times. Reads everything
 * once; memory goes with the number of chunks, 24 bytes each.
 */
export async function checkBytes(
  bucket: Bucket,
  meta: BlockMeta,
  signal: AbortSignal,
): Promise<string[]> {
  return orDamage(async () => {
    const index = await openBlockIndex(bucket, meta.ulid, signal);
    for (const name of index.labelNames()) {
      for (const value of index.labelValues(name)) await index.postings(name, value, signal);
    }
    const chunks = new ChunkColumns();
    const all = await index.allPostings(signal);
    await index.forEachSeries(
      all,
      (entry) => void entry.appendChunksIn(Number.NEGATIVE_INFINITY, Infinity, chunks),
      signal,
    );
    return checkChunks(bucket, meta.ulid, chunks, signal);
  });
}

async function orDamage(check: () => Promise<string[]>): Promise<string[]> {
  try {
    return await check();
  } catch (thrown) {
    if (thrown instanceof CorruptionError || thrown instanceof NotFoundError) {
      return [messageOf(thrown)];
    }
    throw thrown;
  }
}

/**
 * The index of a block, read by range.
 * @throws NotFoundError if it is missing, CorruptionError if it is damaged.
 */
export async function openBlockIndex(
  bucket: Bucket,
  id: string,
  signal: AbortSignal,
): Promise<IndexReader> {
  return IndexReader.open(await objectReader(bucket, `${id}/${INDEX_FILENAME}`, signal), signal);
}

/** How long the block's segment files are, in their order. */
export async function segmentSizes(
  bucket: Bucket,
  id: string,
  signal: AbortSignal,
): Promise<number[]> {
  const stored = [...(await storedFiles(bucket, id, signal))];
  return stored
    .filter(([relPath]) => relPath.startsWith(`${CHUNKS_DIRNAME}/`))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, sizeBytes]) => sizeBytes);
}

/** @throws NotFoundError if there is no such object. */
async function objectReader(
  bucket: Bucket,
  name: string,
  signal: AbortSignal,
): Promise<RangeReader> {
  const found = await bucket.attributes(name, { signal });
  if (found === undefined) throw new NotFoundError(`${bucket.name}/${name} does not exist`);
  const { sizeBytes } = found;
  return {
    sizeBytes,
    async read(offset, length, inner) {
      const end = Math.min(sizeBytes, offset + length);
      if (end <= offset) return new Uint8Array();
      return bucket.read(name, { offset, length: end - offset, signal: inner ?? signal });
    },
  };
}

async function checkChunks(
  bucket: Bucket,
  id: string,
  chunks: ChunkColumns,
  signal: AbortSignal,
): Promise<string[]> {
  const byPlace = Array.from({ length: chunks.length }, (_, i) => i).sort(
    (a, b) => chunks.refs[a]! - chunks.refs[b]!,
  );
  const problems: string[] = [];
  let segment: Segment | undefined;
  for (const i of byPlace) {
    if (problems.length >= MAX_DAMAGES) return [...problems, 'and maybe more'];
    const place = placeOf(chunks.refs[i]!);
    if (segment?.number !== place.segment) {
      segment = new Segment(bucket, id, place.segment, signal);
      const problem = await segment.open();
      if (problem !== undefined) problems.push(problem);
    }
    const times = { mint: chunks.mints[i]!, maxt: chunks.maxts[i]! };
    const problem = await segment.problemOf(place.offset, times);
    if (problem !== undefined) problems.push(problem);
  }
  return problems;
}

/** A segment file whose chunks are looked at in their order; one that cannot be opened says so once. */
class Segment {
  readonly number: number;
  readonly #bucket: Bucket;
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly #samples = new SampleBuffer();
  #reader: RangeReader | undefined;
  #window: Uint8Array = new Uint8Array();
  #base = 0;

  constructor(bucket: Bucket, id: string, number: number, signal: AbortSignal) {
    this.number = number;
    this.#bucket = bucket;
    this.#name = `${id}/${CHUNKS_DIRNAME}/${segmentFileName(number)}`;
    this.#signal = signal;
  }

  async open(): Promise<string | undefined> {
    const [problem] = await orDamage(async () => {
      const reader = await objectReader(this.#bucket, this.#name, this.#signal);
      checkSegmentHeader(await reader.read(0, SEGMENT_HEADER_BYTES), this.#name);
      this.#reader = reader;
      return [];
    });
    return problem;
  }

  async problemOf(
    offset: number,
    times: { readonly mint: number; readonly maxt: number },
  ): Promise<string | undefined> {
    const reader = this.#reader;
    if (reader === undefined) return undefined;
    const [problem] = await orDamage(async () => {
      const bytes = await this.#bytesAt(reader, offset);
      const chunk = readChunkRecord(bytes, offset - this.#base, this.#name, this.#base);
      if (chunk.encoding === ChunkEncoding.Aggregate) return [];
      this.#samples.clear();
      decodeChunk(chunk, Number.NEGATIVE_INFINITY, Infinity, this.#samples);
      const { length, times: at } = this.#samples;
      const [first, last] = [at[0], at[length - 1]];
      if (length > 0 && first === times.mint && last === times.maxt) return [];
      return [
        `${this.#name} at offset ${offset}: the chunk has ${length} samples of [${first}, ${last}], but the index says [${times.mint}, ${times.maxt}]`,
      ];
    });
    return problem;
  }

  /** The window with the whole record at `offset`, if the file has it whole. */
  async #bytesAt(reader: RangeReader, offset: number): Promise<Uint8Array> {
    const size = recordSize(this.#window, offset - this.#base);
    const isInside = offset >= this.#base && size !== undefined;
    if (isInside && offset - this.#base + size <= this.#window.length) return this.#window;
    this.#base = offset;
    this.#window = await reader.read(offset, WINDOW_BYTES);
    const whole = recordSize(this.#window, 0) ?? 0;
    if (whole > this.#window.length && whole <= reader.sizeBytes - offset) {
      this.#window = await reader.read(offset, whole);
    }
    return this.#window;
  }
}
