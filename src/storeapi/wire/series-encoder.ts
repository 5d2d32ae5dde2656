import { assert } from '#/lib/errors.ts';
import type { MessageWriter } from '#/grpc/message-writer.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { AggregateChunk, EncodedChunk, StoreSeries } from '../store.ts';
import { WireType, tag } from './proto-reader.ts';

const SERIES = tag(1, WireType.Bytes);
const WARNING = tag(2, WireType.Bytes);
const BATCH = tag(4, WireType.Bytes);
const LABELS = tag(1, WireType.Bytes);
const CHUNKS = tag(2, WireType.Bytes);
const NAME = tag(1, WireType.Bytes);
const VALUE = tag(2, WireType.Bytes);
const MIN_TIME = tag(1, WireType.Varint);
const MAX_TIME = tag(2, WireType.Varint);
const RAW = tag(3, WireType.Bytes);
const COUNT = tag(4, WireType.Bytes);
const SUM = tag(5, WireType.Bytes);
const MIN = tag(6, WireType.Bytes);
const MAX = tag(7, WireType.Bytes);
const COUNTER = tag(8, WireType.Bytes);
const ENCODING = tag(1, WireType.Varint);
const DATA = tag(2, WireType.Bytes);
const HASH = tag(3, WireType.Varint);

/** Up to this length a loop over the characters beats a call into the engine. */
const SHORT_TEXT = 40;
const NEGATIVE_VARINT_BYTES = 10;
const MAX_INT64 = 2n ** 63n - 1n;

/** xxHash64 of chunk data, for peers that compare chunks by it. */
export type ChunkHash = (data: Uint8Array) => bigint;

/**
 * Writes frames of a Series stream (thanos.SeriesResponse in proto/store.proto) from what a `Store`
 * answers, the same bytes as the generated codec. Labels are encoded into scratch memory first,
 * which gives their size; sizes of chunks are computed; then everything is written once.
 */
export class SeriesEncoder {
  readonly #hash: ChunkHash | undefined;
  /** Of the chunks in the frame at hand, since size and content both need them. */
  readonly #hashes = new Map<EncodedChunk, bigint>();
  #scratch = Buffer.allocUnsafe(16_384);
  #scratchAt = 0;

  /** Without `hash` the field is left out, and peers that need it compute it. */
  constructor(hash?: ChunkHash) {
    this.#hash = hash;
  }

  warning(text: string, out: MessageWriter): void {
    const bytes = Buffer.from(text);
    out.begin(1 + uvarintSize(bytes.length) + bytes.length);
    out.byte(WARNING);
    out.uvarint(bytes.length);
    out.bytes(bytes);
    out.end();
  }

  /** One frame with one series. */
  series(series: StoreSeries, out: MessageWriter): void {
    this.#scratchAt = 0;
    const labelBytes = this.#encodeLabels(series);
    const size = labelBytes + this.#chunksSize(series);
    out.begin(1 + uvarintSize(size) + size);
    out.byte(SERIES);
    this.#write(series, size, 0, labelBytes, out);
    out.end();
    this.#hashes.clear();
  }

  /** One frame with all series of `group`. */
  batch(group: readonly StoreSeries[], out: MessageWriter): void {
    this.#scratchAt = 0;
    let total = 0;
    const labelEnds: number[] = [];
    const sizes: number[] = [];
    for (const series of group) {
      const size = this.#encodeLabels(series) + this.#chunksSize(series);
      labelEnds.push(this.#scratchAt);
      sizes.push(size);
      total += 1 + uvarintSize(size) + size;
    }
    out.begin(1 + uvarintSize(total) + total);
    out.byte(BATCH);
    out.uvarint(total);
    for (let i = 0; i < group.length; i++) {
      out.byte(SERIES);
      this.#write(group[i]!, sizes[i]!, i === 0 ? 0 : labelEnds[i - 1]!, labelEnds[i]!, out);
    }
    out.end();
    this.#hashes.clear();
  }

  #write(
    series: StoreSeries,
    size: number,
    labelStart: number,
    labelEnd: number,
    out: MessageWriter,
  ): void {
    out.uvarint(size);
    out.bytes(this.#scratch.subarray(labelStart, labelEnd));
    for (const chunk of series.chunks) this.#writeAggregate(chunk, out);
  }

  #chunksSize({ chunks }: StoreSeries): number {
    let total = 0;
    for (const chunk of chunks) total += field(this.#aggregateSize(chunk));
    return total;
  }

  #aggregateSize(chunk: AggregateChunk): number {
    let size = int64FieldSize(chunk.mint) + int64FieldSize(chunk.maxt);
    if (chunk.raw !== undefined) size += field(this.#chunkSize(chunk.raw));
    if (chunk.count !== undefined) size += field(this.#chunkSize(chunk.count));
    if (chunk.sum !== undefined) size += field(this.#chunkSize(chunk.sum));
    if (chunk.min !== undefined) size += field(this.#chunkSize(chunk.min));
    if (chunk.max !== undefined) size += field(this.#chunkSize(chunk.max));
    if (chunk.counter !== undefined) size += field(this.#chunkSize(chunk.counter));
    return size;
  }

  #chunkSize(chunk: EncodedChunk): number {
    const { encoding, data } = chunk;
    const size =
      (encoding === ChunkEncoding.Xor ? 0 : 2) + (data.length === 0 ? 0 : field(data.length));
    if (this.#hash === undefined) return size;
    return size + 1 + uvarint64Size(this.#hashOf(chunk, this.#hash));
  }

  #hashOf(chunk: EncodedChunk, hash: ChunkHash): bigint {
    const known = this.#hashes.get(chunk);
    if (known !== undefined) return known;
    const computed = hash(chunk.data);
    this.#hashes.set(chunk, computed);
    return computed;
  }

  #writeAggregate(chunk: AggregateChunk, out: MessageWriter): void {
    out.byte(CHUNKS);
    out.uvarint(this.#aggregateSize(chunk));
    writeInt64Field(MIN_TIME, chunk.mint, out);
    writeInt64Field(MAX_TIME, chunk.maxt, out);
    if (chunk.raw !== undefined) this.#writeChunk(RAW, chunk.raw, out);
    if (chunk.count !== undefined) this.#writeChunk(COUNT, chunk.count, out);
    if (chunk.sum !== undefined) this.#writeChunk(SUM, chunk.sum, out);
    if (chunk.min !== undefined) this.#writeChunk(MIN, chunk.min, out);
    if (chunk.max !== undefined) this.#writeChunk(MAX, chunk.max, out);
    if (chunk.counter !== undefined) this.#writeChunk(COUNTER, chunk.counter, out);
  }

  #writeChunk(fieldTag: number, chunk: EncodedChunk, out: MessageWriter): void {
    const { encoding, data } = chunk;
    assert(encoding >= 1 && encoding <= 3, `the wire has no chunk encoding ${encoding}`);
    out.byte(fieldTag);
    out.uvarint(this.#chunkSize(chunk));
    if (encoding !== ChunkEncoding.Xor) {
      out.byte(ENCODING);
      out.byte(encoding - 1);
    }
    if (data.length > 0) {
      out.byte(DATA);
      out.uvarint(data.length);
      out.bytes(data);
    }
    if (this.#hash !== undefined) {
      out.byte(HASH);
      out.uvarint64(this.#hashOf(chunk, this.#hash));
    }
  }

  /** Appends the labels of a series to the scratch memory and returns how many bytes they take. */
  #encodeLabels({ labels }: StoreSeries): number {
    const start = this.#scratchAt;
    const { flat } = labels;
    for (let i = 0; i < flat.length; i += 2) this.#encodeLabel(flat[i]!, flat[i + 1]!);
    return this.#scratchAt - start;
  }

  /** Bets on ASCII, whose length is known; other text starts over with lengths that were measured. */
  #encodeLabel(name: string, value: string): void {
    const before = this.#scratchAt;
    if (this.#tryLabel(name, name.length, value, value.length)) return;
    this.#scratchAt = before;
    this.#tryLabel(name, Buffer.byteLength(name), value, Buffer.byteLength(value));
  }

  #tryLabel(name: string, nameBytes: number, value: string, valueBytes: number): boolean {
    const size = field(nameBytes) + field(valueBytes);
    this.#reserve(size + 16 + 3 * (name.length + value.length));
    this.#tagged(LABELS, size);
    this.#tagged(NAME, nameBytes);
    if (!this.#text(name, nameBytes)) return false;
    this.#tagged(VALUE, valueBytes);
    return this.#text(value, valueBytes);
  }

  #tagged(fieldTag: number, length: number): void {
    const scratch = this.#scratch;
    let at = this.#scratchAt;
    scratch[at++] = fieldTag;
    let rest = length;
    for (; rest > 0x7f; rest >>>= 7) scratch[at++] = (rest & 0x7f) | 0x80;
    scratch[at++] = rest;
    this.#scratchAt = at;
  }

  /** Writes `text`; false if it takes other than `length` bytes. */
  #text(text: string, length: number): boolean {
    const scratch = this.#scratch;
    const start = this.#scratchAt;
    if (length !== text.length || length > SHORT_TEXT) {
      this.#scratchAt = start + length;
      return scratch.write(text, start, 'utf8') === length;
    }
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return false;
      scratch[start + i] = unit;
    }
    this.#scratchAt = start + length;
    return true;
  }

  #reserve(bytes: number): void {
    const needed = this.#scratchAt + bytes;
    if (needed <= this.#scratch.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#scratch.length * 2));
    this.#scratch.copy(larger, 0, 0, this.#scratchAt);
    this.#scratch = larger;
  }
}

/** Size of a field of `length` bytes with its tag and length. */
function field(length: number): number {
  return 1 + uvarintSize(length) + length;
}

function uvarintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  let size = 4;
  for (let rest = Math.floor(value / 0x10000000); rest > 0; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function uvarint64Size(value: bigint): number {
  let size = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) size++;
  return size;
}

function int64FieldSize(value: number): number {
  if (value === 0) return 0;
  if (value < 0) return 1 + NEGATIVE_VARINT_BYTES;
  return (
    1 + (value <= Number.MAX_SAFE_INTEGER ? uvarintSize(value) : uvarint64Size(clamped(value)))
  );
}

function writeInt64Field(fieldTag: number, value: number, out: MessageWriter): void {
  if (value === 0) return;
  out.byte(fieldTag);
  if (value > 0 && value <= Number.MAX_SAFE_INTEGER) out.uvarint(value);
  else out.uvarint64(clamped(value));
}

function clamped(value: number): bigint {
  return value >= 2 ** 63 ? MAX_INT64 : BigInt(value);
}
