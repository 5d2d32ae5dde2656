import { readAggregateChunk } from '#/downsample/aggregate-chunk.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { toWireChunks } from '#/tsdb/chunk-encoder.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { EncodedChunk } from '#/tsdb/chunk.ts';
import {
  MAX_RECORD_HEAD_BYTES,
  placeOf,
  readChunkRecord,
  segmentFileName,
} from '#/tsdb/chunk-segment.ts';
import type { ChunkMeta } from '#/tsdb/index.ts';
import type { Aggregate, AggregateChunk } from '../store.ts';
import type { BlockSource } from './block-source.ts';
import { coalesce } from './ranges.ts';
import type { CoalescedRead } from './ranges.ts';
import type { RequestLimiter } from './request-limiter.ts';

/** What a chunk is taken to be long when nothing is known; the few that are longer are read again. */
const DEFAULT_CHUNK_BYTES = 16_000;
/** Reads of one block that are under way at once. */
const CONCURRENT_READS = 4;

/** A wanted chunk and the range that surely begins it. */
interface Wanted {
  readonly chunk: ChunkMeta;
  /** Place among the chunks that were asked for. */
  readonly at: number;
  readonly segment: number;
  readonly start: number;
  readonly end: number;
}

/** Reads chunks of one block: ranges of its segment files, joined where they are near. */
export class ChunkLoader {
  readonly #source: BlockSource;
  /** The longest chunk, as far as the block's metadata tells. */
  readonly estimatedBytes: number;

  constructor(source: BlockSource) {
    this.#source = source;
    const known = source.meta.thanos?.indexStats.chunkMaxSize ?? 0;
    this.estimatedBytes = known > 0 ? Math.min(known, DEFAULT_CHUNK_BYTES) : DEFAULT_CHUNK_BYTES;
  }

  /**
   * The chunks, each as the StoreAPI carries it: raw, or the wanted aggregates of a downsampled one.
   * A chunk of an encoding that peers may not know becomes one or more of an older one.
   */
  async load(
    chunks: readonly ChunkMeta[],
    aggregates: readonly Aggregate[],
    limiter: RequestLimiter,
    signal: AbortSignal,
  ): Promise<AggregateChunk[][]> {
    const wanted = chunks
      .map((chunk, at) => this.#place(chunk, at))
      .sort((a, b) => a.segment - b.segment || a.start - b.start);
    const loaded: AggregateChunk[][] = Array.from({ length: chunks.length }, () => []);
    const reads = segments(wanted).flatMap((ofSegment) =>
      coalesce(ofSegment).map((read) => ({ read, wanted: ofSegment.slice(read.from, read.to) })),
    );
    for (let i = 0; i < reads.length; i += CONCURRENT_READS) {
      const group = reads.slice(i, i + CONCURRENT_READS);
      await Promise.all(
        group.map(async ({ read, wanted: covered }) => {
          for (const [at, chunk] of await this.#read(read, covered, limiter, signal)) {
            loaded[at] = toAggregateChunks(chunks[at]!, chunk, aggregates);
          }
        }),
      );
    }
    return loaded;
  }

  #place(chunk: ChunkMeta, at: number): Wanted {
    const { segment, offset } = placeOf(chunk.ref);
    const end = offset + this.estimatedBytes + MAX_RECORD_HEAD_BYTES + 4;
    return { chunk, at, segment, start: offset, end };
  }

  async #read(
    read: CoalescedRead,
    wanted: readonly Wanted[],
    limiter: RequestLimiter,
    signal: AbortSignal,
  ): Promise<[at: number, chunk: EncodedChunk][]> {
    const bytes = await this.#bytes(wanted[0]!.segment, read.start, read.end, limiter, signal);
    const found = wanted.map(async ({ at, segment, start }): Promise<[number, EncodedChunk]> => {
      const length = recordLength(bytes, start - read.start);
      if (length === undefined || start - read.start + length <= bytes.length) {
        return [at, readChunkRecord(bytes, start - read.start, this.#where(segment))];
      }
      const whole = await this.#bytes(segment, start, start + length, limiter, signal);
      return [at, readChunkRecord(whole, 0, this.#where(segment))];
    });
    return Promise.all(found);
  }

  async #bytes(
    segment: number,
    start: number,
    end: number,
    limiter: RequestLimiter,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { bucket, meta } = this.#source;
    const name = `${meta.ulid}/chunks/${segmentFileName(segment)}`;
    const bytes = await bucket.read(name, { offset: start, length: end - start, signal });
    limiter.addBytes(bytes.length);
    return bytes;
  }

  #where(segment: number): string {
    return `block ${this.#source.meta.ulid}: chunks/${segmentFileName(segment)}: chunk`;
  }
}

/** Cuts the sorted list where the segment changes. */
function segments(wanted: readonly Wanted[]): Wanted[][] {
  const groups = Map.groupBy(wanted, ({ segment }) => segment);
  return [...groups.values()];
}

/** The length of the record at `offset` with everything around its data; `undefined` if its beginning is cut off. */
function recordLength(bytes: Uint8Array, offset: number): number | undefined {
  let length = 0;
  for (let i = 0; i < 5 && offset + i < bytes.length; i++) {
    const byte = bytes[offset + i]!;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return i + 1 + 1 + length + 4;
  }
  return undefined;
}

function toAggregateChunks(
  { mint, maxt }: ChunkMeta,
  chunk: EncodedChunk,
  aggregates: readonly Aggregate[],
): AggregateChunk[] {
  if (chunk.encoding !== ChunkEncoding.Aggregate) {
    return toWireChunks({ ...chunk, mint, maxt }).map((wire) => ({
      mint: wire.mint,
      maxt: wire.maxt,
      raw: { encoding: wire.encoding, data: wire.data },
    }));
  }
  const lanes = readAggregateChunk(chunk.data);
  const found: { -readonly [key in keyof AggregateChunk]: AggregateChunk[key] } = { mint, maxt };
  for (const aggregate of aggregates) {
    if (aggregate === 'raw') continue;
    const lane = lanes[aggregate];
    if (lane === undefined)
      throw new CorruptionError(`downsampled chunk at ${mint} has no ${aggregate}`);
    found[aggregate] = lane;
  }
  return [found];
}
