import { ByteReader } from '#/lib/byte-reader.ts';
import type { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { Labels } from '#/model/labels.ts';
import type { Interval } from '../tombstones.ts';
import { checkCrc } from './section.ts';

/** A chunk as the index knows it. Times are those of its first and last sample. */
export interface ChunkMeta {
  readonly mint: number;
  readonly maxt: number;
  /** Segment and offset, see chunk-segment.ts. */
  readonly ref: number;
}

/** Chunks of many series, one behind the other, as columns: nothing for the garbage collector to follow. */
export class ChunkColumns {
  /** Only the first `length` entries count, here and below. */
  mints = new Float64Array(64);
  maxts = new Float64Array(64);
  refs = new Float64Array(64);
  length = 0;

  /** Makes room for `more` chunks behind the present ones; the columns may be replaced. */
  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.mints.length) return;
    const capacity = Math.max(needed, 2 * this.mints.length);
    this.mints = grown(this.mints, capacity);
    this.maxts = grown(this.maxts, capacity);
    this.refs = grown(this.refs, capacity);
  }

  clear(): void {
    this.length = 0;
  }

  push(mint: number, maxt: number, ref: number): void {
    if (this.length === this.mints.length) this.reserve(1);
    this.mints[this.length] = mint;
    this.maxts[this.length] = maxt;
    this.refs[this.length++] = ref;
  }

  /** Copies the chunks `[from, to)` of `other` to the end and returns where they stand here. */
  appendFrom(
    other: ChunkColumns,
    { from, to }: { readonly from: number; readonly to: number },
  ): { readonly from: number; readonly to: number } {
    this.reserve(to - from);
    const start = this.length;
    this.mints.set(other.mints.subarray(from, to), start);
    this.maxts.set(other.maxts.subarray(from, to), start);
    this.refs.set(other.refs.subarray(from, to), start);
    this.length = start + to - from;
    return { from: start, to: this.length };
  }

  /** Takes out, from the place `from` on, the chunks that lie within one of the intervals as a whole. */
  dropWithin(intervals: readonly Interval[], from: number): void {
    let kept = from;
    for (let i = from; i < this.length; i++) {
      const mint = this.mints[i]!;
      const maxt = this.maxts[i]!;
      if (intervals.some((one) => one.mint <= mint && one.maxt >= maxt)) continue;
      this.mints[kept] = mint;
      this.maxts[kept] = maxt;
      this.refs[kept++] = this.refs[i]!;
    }
    this.length = kept;
  }
}

function grown(column: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(capacity);
  larger.set(column);
  return larger;
}

/** Entries of version 2 and later begin at multiples of this; the number of a series counts in it. */
export const SERIES_ALIGNMENT = 16;

/**
 * The entry of one series, decoded into columns that are reused from entry to entry: only the first
 * `labelCount · 2` and `chunkCount` values count.
 *
 *     labels <uvarint> | (name, value <uvarint symbols>) per label
 *     | chunks <uvarint> | mint <varint> | maxt - mint <uvarint> | ref <uvarint>
 *     | (mint - last maxt <uvarint of 64 bits> | maxt - mint <uvarint> | ref - last ref <varint>) per further chunk
 *
 * Format: tsdb/docs/format/index.md in Prometheus.
 */
export class SeriesEntry {
  /** Symbols of name and value in turn. */
  readonly symbols: number[] = [];
  labelCount = 0;
  readonly mints: number[] = [];
  readonly maxts: number[] = [];
  readonly refs: number[] = [];
  chunkCount = 0;

  /** What is decoded, up to where, and the file offset of its first byte. */
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #base = 0;

  /** Decodes the body of an entry. @throws CorruptionError if it ends early or its numbers overflow. */
  decode(body: Uint8Array, base = 0): void {
    this.#decode(body, 0, body.length, base);
  }

  /**
   * Checks and decodes the whole entry at `offset` of `bytes`, see `readSeriesBody`. `false` if `bytes`
   * end before the entry does; `base` is the file offset of `bytes`.
   * @throws CorruptionError if the checksum differs, or the entry makes no sense.
   */
  decodeAt(bytes: Uint8Array, offset: number, base: number): boolean {
    if (!endsInside(bytes, offset)) return false;
    this.#bytes = bytes;
    this.#at = offset;
    this.#end = bytes.length;
    this.#base = base;
    const length = this.#uvarint();
    const start = this.#at;
    const end = start + length;
    if (end + 4 > bytes.length) return false;
    const want =
      bytes[end]! * 0x1000000 +
      ((bytes[end + 1]! << 16) | (bytes[end + 2]! << 8) | bytes[end + 3]!);
    if (crc32c(bytes, 0, start, end) !== want) {
      checkCrc(bytes.subarray(start, end), want, 'index series entry', base + offset);
    }
    this.#decode(bytes, start, end, base);
    return true;
  }

  labels(lookup: (symbol: number) => string): Labels {
    const flat: string[] = [];
    for (let i = 0; i < 2 * this.labelCount; i += 2) {
      const value = lookup(this.symbols[i + 1]!);
      if (value !== '') flat.push(lookup(this.symbols[i]!), value);
    }
    return Labels.fromSortedFlat(flat);
  }

  /** The chunks that have a part in `[mint, maxt]`. */
  chunksIn(mint: number, maxt: number): ChunkMeta[] {
    const chunks: ChunkMeta[] = [];
    for (let i = 0; i < this.chunkCount; i++) {
      if (this.mints[i]! > maxt) break;
      if (this.maxts[i]! < mint) continue;
      chunks.push({ mint: this.mints[i]!, maxt: this.maxts[i]!, ref: this.refs[i]! });
    }
    return chunks;
  }

  /** Appends the chunks that have a part in `[mint, maxt]` to `into` and returns how many those are. */
  appendChunksIn(mint: number, maxt: number, into: ChunkColumns): number {
    const start = into.length;
    into.reserve(this.chunkCount);
    for (let i = 0; i < this.chunkCount && this.mints[i]! <= maxt; i++) {
      if (this.maxts[i]! < mint) continue;
      into.mints[into.length] = this.mints[i]!;
      into.maxts[into.length] = this.maxts[i]!;
      into.refs[into.length++] = this.refs[i]!;
    }
    return into.length - start;
  }

  /** Whether each of the chunks lies in one of the intervals as a whole. */
  isWithin(intervals: readonly Interval[]): boolean {
    for (let i = 0; i < this.chunkCount; i++) {
      const mint = this.mints[i]!;
      const maxt = this.maxts[i]!;
      if (!intervals.some((one) => one.mint <= mint && one.maxt >= maxt)) return false;
    }
    return true;
  }

  #decode(bytes: Uint8Array, start: number, end: number, base: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#base = base;
    this.#decodeLabels();
    this.#decodeChunks();
  }

  #decodeLabels(): void {
    const count = this.#uvarint();
    if (count * 2 > this.#end - this.#at) {
      throw this.#reader().error('a count of labels that fits the entry', `${count}`);
    }
    this.labelCount = count;
    for (let i = 0; i < 2 * count; i++) this.symbols[i] = this.#uvarint();
  }

  #decodeChunks(): void {
    const count = this.#uvarint();
    if (count * 3 > this.#end - this.#at) {
      throw this.#reader().error('a count of chunks that fits the entry', `${count}`);
    }
    this.chunkCount = count;
    let maxt = 0;
    let ref = 0;
    for (let i = 0; i < count; i++) {
      // Below 0 in blocks with chunks out of order, which are read so that they can be repaired.
      const mint = i === 0 ? this.#varint() : maxt + this.#wrappedUvarint();
      maxt = mint + this.#uvarint();
      ref = i === 0 ? this.#uvarint() : ref + this.#varint();
      this.mints[i] = mint;
      this.maxts[i] = maxt;
      this.refs[i] = ref;
    }
  }

  #uvarint(): number {
    const value = this.#shortUvarint();
    return value >= 0 ? value : this.#long((reader) => reader.uvarint());
  }

  #wrappedUvarint(): number {
    const value = this.#shortUvarint();
    return value >= 0 ? value : this.#long((reader) => reader.wrappedUvarint());
  }

  #varint(): number {
    const zigzag = this.#shortUvarint();
    if (zigzag < 0) return this.#long((reader) => reader.varint());
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }

  #long(read: (reader: ByteReader) => number): number {
    const reader = this.#reader();
    const value = read(reader);
    this.#at = reader.offset;
    return value;
  }

  /** A number of up to seven bytes; longer and damaged ones are left to a `ByteReader` with -1. */
  #shortUvarint(): number {
    const bytes = this.#bytes;
    const start = this.#at;
    const end = this.#end;
    let value = 0;
    let at = start;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= end) return -1;
      const byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#at = at;
        return value;
      }
    }
    for (let scale = 2 ** 28; scale < 2 ** 49; scale *= 128) {
      if (at >= end) return -1;
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.#at = at;
        return value;
      }
    }
    return -1;
  }

  #reader(): ByteReader {
    const bytes = new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#end);
    return new ByteReader(bytes, this.#at, 'index series entry', this.#base);
  }
}

/**
 * The body of the entry at `offset` of `bytes`, checked: `length <uvarint> | body | crc32c of the body
 * <4 bytes>`. `undefined` if `bytes` end before the entry does; `base` is the file offset of `bytes`.
 * @throws CorruptionError if the checksum differs.
 */
export function readSeriesBody(
  bytes: Uint8Array,
  offset: number,
  base: number,
): Uint8Array | undefined {
  if (!endsInside(bytes, offset)) return undefined;
  const reader = new ByteReader(bytes, offset, 'index series entry', base);
  const length = reader.uvarint32();
  if (length + 4 > reader.remaining) return undefined;
  const body = reader.bytes(length);
  checkCrc(body, reader.uint32(), 'index series entry', base + offset);
  return body;
}

/** Whether the uvarint at `offset` ends before the bytes do. */
function endsInside(bytes: Uint8Array, offset: number): boolean {
  const last = Math.min(bytes.length, offset + 5);
  for (let at = offset; at < last; at++) if (bytes[at]! < 0x80) return true;
  return last === offset + 5;
}

/**
 * Appends an entry. The first `length` of `symbols` are name and value of each label in turn;
 * references count from `firstRef`.
 */
export function writeSeriesEntry(
  writer: ByteWriter,
  scratch: ByteWriter,
  labels: { readonly symbols: readonly number[]; readonly length: number },
  { mints, maxts, refs, length }: ChunkColumns,
  firstRef: number,
): void {
  scratch.clear();
  scratch.uvarint(labels.length / 2);
  for (let i = 0; i < labels.length; i++) scratch.uvarint(labels.symbols[i]!);
  scratch.uvarint(length);
  for (let i = 0; i < length; i++) {
    if (i === 0) scratch.varint(mints[0]!);
    else scratch.uvarint(mints[i]! - maxts[i - 1]!);
    scratch.uvarint(maxts[i]! - mints[i]!);
    if (i === 0) scratch.uvarint(firstRef + refs[0]!);
    else scratch.varint(refs[i]! - refs[i - 1]!);
  }
  const body = scratch.written();
  writer.uvarint(body.length);
  writer.bytes(body);
  writer.uint32(crc32c(body));
}
