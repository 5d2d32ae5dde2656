import { ByteReader } from '#/lib/byte-reader.ts';
import type { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { Labels } from '#/model/labels.ts';
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

  /** Decodes the body of an entry. @throws CorruptionError if it ends early or its numbers overflow. */
  decode(body: Uint8Array, base = 0): void {
    const reader = new ByteReader(body, 0, 'index series entry', base);
    this.#decodeLabels(reader);
    this.#decodeChunks(reader);
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

  #decodeLabels(reader: ByteReader): void {
    this.labelCount = reader.uvarint();
    if (this.labelCount * 2 > reader.remaining) {
      throw reader.error('a count of labels that fits the entry', `${this.labelCount}`);
    }
    for (let i = 0; i < 2 * this.labelCount; i++) this.symbols[i] = reader.uvarint();
  }

  #decodeChunks(reader: ByteReader): void {
    this.chunkCount = reader.uvarint();
    if (this.chunkCount * 3 > reader.remaining) {
      throw reader.error('a count of chunks that fits the entry', `${this.chunkCount}`);
    }
    let maxt = 0;
    let ref = 0;
    for (let i = 0; i < this.chunkCount; i++) {
      // Below 0 in blocks with chunks out of order, which are read so that they can be repaired.
      const mint = i === 0 ? reader.varint() : maxt + reader.wrappedUvarint();
      maxt = mint + reader.uvarint();
      ref = i === 0 ? reader.uvarint() : ref + reader.varint();
      this.mints[i] = mint;
      this.maxts[i] = maxt;
      this.refs[i] = ref;
    }
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

/** Appends an entry; `symbols` has name and value of each label in turn. */
export function writeSeriesEntry(
  writer: ByteWriter,
  scratch: ByteWriter,
  symbols: readonly number[],
  chunks: readonly ChunkMeta[],
): void {
  scratch.clear();
  scratch.uvarint(symbols.length / 2);
  for (const symbol of symbols) scratch.uvarint(symbol);
  scratch.uvarint(chunks.length);
  let previous: ChunkMeta | undefined;
  for (const chunk of chunks) {
    if (previous === undefined) scratch.varint(chunk.mint);
    else scratch.uvarint(chunk.mint - previous.maxt);
    scratch.uvarint(chunk.maxt - chunk.mint);
    if (previous === undefined) scratch.uvarint(chunk.ref);
    else scratch.varint(chunk.ref - previous.ref);
    previous = chunk;
  }
  const body = scratch.written();
  writer.uvarint(body.length);
  writer.bytes(body);
  writer.uint32(crc32c(body));
}
