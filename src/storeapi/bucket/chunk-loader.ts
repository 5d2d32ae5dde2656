import { readAggregateChunk } from '#/downsample/aggregate-chunk.ts';
import { CorruptionError, messageOf } from '#/lib/errors.ts';
import { withoutWindows } from '#/downsample/delete-windows.ts';
import { toWireChunks } from '#/tsdb/chunk-encoder.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import {
  MAX_RECORD_HEAD_BYTES,
  placeOf,
  readChunkRecord,
  recordSize,
  segmentFileName,
} from '#/tsdb/chunk-segment.ts';
import type { ChunkRecord } from '#/tsdb/chunk-segment.ts';
import { withoutRanges } from '#/tsdb/cut-chunk.ts';
import type { ChunkColumns } from '#/tsdb/index.ts';
import type { Interval } from '#/tsdb/tombstones.ts';
import type { Aggregate, AggregateChunk, EncodedChunk } from '../store.ts';
import type { BlockSource } from './block-source.ts';
import type { BlockReading } from './losses.ts';
import { coalesce } from './ranges.ts';
import type { CoalescedRead } from './ranges.ts';

/** What a chunk is taken to be long while nothing is known. */
const DEFAULT_CHUNK_BYTES = 16_000;
/** No chunk is longer: a length above it is a damaged one, and must not cost the memory that it says. */
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;
/** Reads of one block that are under way at once. */
const CONCURRENT_READS = 4;

/** The chunks `[from, to)` of some columns: those of one series. */
export interface ChunkSpan {
  readonly from: number;
  readonly to: number;
}

/** The chunks of one series that are wanted. */
export interface WantedSpan extends ChunkSpan {
  /** Ranges whose samples are to be left out, in time order, apart from each other. */
  readonly deleted: readonly Interval[];
}

/** The chunks that are wanted, series by series. */
export interface WantedChunks {
  readonly chunks: ChunkColumns;
  readonly spans: readonly WantedSpan[];
}

/** A wanted chunk and the range that probably holds it. */
interface Wanted {
  /** Place in the columns. */
  readonly at: number;
  /** Place among the chunks that were asked for. */
  readonly slot: number;
  readonly deleted: readonly Interval[];
  readonly segment: number;
  readonly start: number;
  readonly end: number;
}

/** What one read of a segment is about. */
interface Taking {
  readonly read: CoalescedRead;
  readonly reading: BlockReading;
  readonly found: (wanted: Wanted, record: ChunkRecord) => void;
  /** Opens messages. */
  readonly where: string;
  readonly fresh: boolean;
}

interface Damaged {
  readonly one: Wanted;
  readonly thrown: CorruptionError;
}

/** What the StoreAPI carries for a chunk of the index: nearly always one. */
type Loaded = AggregateChunk | readonly AggregateChunk[];

/** Reads chunks of one block: ranges of its segment files, joined where they are near. */
export class ChunkLoader {
  readonly #source: BlockSource;
  /** The longest chunk, as far as the block's metadata or what was read of it tells. */
  #longestBytes: number;
  #readBytes = 0;
  #readChunks = 0;

  constructor(source: BlockSource) {
    this.#source = source;
    const known = source.meta.thanos?.indexStats.chunkMaxSize ?? 0;
    this.#longestBytes = known > 0 ? Math.min(known, DEFAULT_CHUNK_BYTES) : DEFAULT_CHUNK_BYTES;
  }

  /** About how many bytes a chunk has; the longest there is while none was read. */
  get estimatedBytes(): number {
    return this.#readChunks === 0 ? this.#longestBytes : this.#readBytes / this.#readChunks;
  }

  /**
   * The chunks of each series, as the StoreAPI carries them: raw, or the wanted aggregates of a
   * downsampled one. A chunk of an encoding that peers may not know becomes one or more of an older one;
   * a damaged one is a loss, and none.
   */
  async load(
    { chunks, spans }: WantedChunks,
    aggregates: readonly Aggregate[],
    reading: BlockReading,
  ): Promise<AggregateChunk[][]> {
    const places = this.#places(chunks, spans);
    reading.limiter.addChunks(places.length);
    const loaded = Array.from<Loaded | undefined>({ length: places.length });
    const reads = segments(places).flatMap((ofSegment) =>
      coalesce(ofSegment).map((read) => ({ read, wanted: ofSegment.slice(read.from, read.to) })),
    );
    for (let i = 0; i < reads.length; i += CONCURRENT_READS) {
      const group = reads.slice(i, i + CONCURRENT_READS);
      await Promise.all(
        group.map(({ read, wanted }) =>
          reading.losses.attempt(() =>
            this.#read(read, wanted, reading, ({ at, slot, deleted }, record) => {
              const [mint, maxt] = [chunks.mints[at]!, chunks.maxts[at]!];
              loaded[slot] =
                deleted.length === 0
                  ? toAggregateChunks(mint, maxt, record, aggregates)
                  : this.#cut({ ...record, mint, maxt }, deleted, aggregates);
            }),
          ),
        ),
      );
    }
    return perSeries(spans, loaded);
  }

  /** What is left of a chunk without the deleted ranges, which for a downsampled one are whole windows. */
  #cut(
    chunk: TimedChunk,
    deleted: readonly Interval[],
    aggregates: readonly Aggregate[],
  ): AggregateChunk[] {
    const resolutionMs = this.#source.meta.thanos?.downsample.resolution ?? 0;
    const left =
      chunk.encoding === ChunkEncoding.Aggregate
        ? (withoutWindows(chunk, deleted, resolutionMs) ?? [])
        : withoutRanges(chunk, deleted);
    return [left].flat().flatMap((one) => toAggregateChunks(one.mint, one.maxt, one, aggregates));
  }

  /** Where the chunks are, in the order of the files. */
  #places({ refs }: ChunkColumns, spans: readonly WantedSpan[]): Wanted[] {
    const longest = this.#longestBytes + MAX_RECORD_HEAD_BYTES + 4;
    const wanted: Wanted[] = [];
    let last = -1;
    let sorted = true;
    for (const { from, to, deleted } of spans) {
      for (let at = from; at < to; at++) {
        const ref = refs[at]!;
        sorted &&= last < ref;
        last = ref;
        const { segment, offset } = placeOf(ref);
        const slot = wanted.length;
        wanted.push({ at, slot, deleted, segment, start: offset, end: offset + longest });
      }
    }
    return sorted ? wanted : wanted.sort((a, b) => a.segment - b.segment || a.start - b.start);
  }

  /**
   * Hands every chunk of one read to `found`. What is damaged is read once more, past every cache,
   * since the damage may have happened on the way; if it still is, it is a loss of that chunk.
   */
  async #read(
    read: CoalescedRead,
    wanted: readonly Wanted[],
    reading: BlockReading,
    found: (wanted: Wanted, record: ChunkRecord) => void,
  ): Promise<void> {
    const { segment } = wanted[0]!;
    const where = `block ${this.#source.meta.ulid}: chunks/${segmentFileName(segment)}: chunk`;
    const parts = { read, reading, found, where };
    const damaged = await this.#take(wanted, { ...parts, fresh: false });
    if (damaged.length === 0) return;
    const again = damaged.map(({ one }) => one);
    for (const { one, thrown } of await this.#take(again, { ...parts, fresh: true })) {
      reading.losses.add(inPlace(thrown, `${where} at offset ${one.start}`));
    }
  }

  /** Hands the chunks over, and returns those that are damaged. */
  async #take(
    wanted: readonly Wanted[],
    { read, reading, found, where, fresh }: Taking,
  ): Promise<Damaged[]> {
    const { segment } = wanted[0]!;
    const bytes = await this.#bytes(segment, read.start, read.end, fresh, reading);
    const damaged: Damaged[] = [];
    const take = (one: Wanted, from: Uint8Array, base: number) => {
      try {
        found(one, this.#learn(readChunkRecord(from, one.start - base, where, base)));
      } catch (thrown) {
        if (!(thrown instanceof CorruptionError)) throw thrown;
        damaged.push({ one, thrown });
      }
    };
    const cut: Wanted[] = [];
    for (const one of wanted) {
      const offset = one.start - read.start;
      const size = recordSize(bytes, offset);
      if (size !== undefined && offset + size > bytes.length) cut.push(one);
      else take(one, bytes, read.start);
    }
    for (const one of cut) {
      const size = recordSize(bytes, one.start - read.start)!;
      const end = one.start + Math.min(size, MAX_CHUNK_BYTES);
      take(one, await this.#bytes(segment, one.start, end, fresh, reading), one.start);
    }
    return damaged;
  }

  /** The first chunk replaces what was taken for granted; later ones lift it where they are longer. */
  #learn(record: ChunkRecord): ChunkRecord {
    const roomy = record.sizeBytes * 2;
    if (this.#readChunks === 0 || roomy > this.#longestBytes) this.#longestBytes = roomy;
    this.#readBytes += record.sizeBytes;
    this.#readChunks++;
    return record;
  }

  async #bytes(
    segment: number,
    start: number,
    end: number,
    fresh: boolean,
    { limiter, signal, tally }: BlockReading,
  ): Promise<Uint8Array> {
    const { bucket, meta } = this.#source;
    const name = `${meta.ulid}/chunks/${segmentFileName(segment)}`;
    const bytes = await bucket.read(name, {
      offset: start,
      length: end - start,
      fresh,
      reason: 'chunks',
      tally,
      signal,
    });
    limiter.addBytes(bytes.length);
    return bytes;
  }
}

/** Hands the chunks back to the series that they belong to. */
function perSeries(
  spans: readonly ChunkSpan[],
  loaded: readonly (Loaded | undefined)[],
): AggregateChunk[][] {
  let next = 0;
  return spans.map(({ from, to }) => {
    const own: AggregateChunk[] = [];
    for (const end = next + to - from; next < end; next++) {
      const one = loaded[next];
      if (one === undefined) continue;
      if ('mint' in one) own.push(one);
      else own.push(...one);
    }
    return own;
  });
}

/** Adds the place to the message of damage that does not know it. */
function inPlace(thrown: unknown, place: string): unknown {
  if (!(thrown instanceof CorruptionError) || thrown.message.startsWith(place)) return thrown;
  return new CorruptionError(`${place}: ${messageOf(thrown)}`, { cause: thrown });
}

/** Cuts the sorted list where the segment changes. */
function segments(wanted: Wanted[]): Wanted[][] {
  if (wanted[0]?.segment === wanted.at(-1)?.segment) return [wanted];
  const groups = Map.groupBy(wanted, ({ segment }) => segment);
  return [...groups.values()];
}

function toAggregateChunks(
  mint: number,
  maxt: number,
  chunk: EncodedChunk,
  aggregates: readonly Aggregate[],
): Loaded {
  if (chunk.encoding === ChunkEncoding.Xor) return { mint, maxt, raw: chunk };
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
  return found;
}
