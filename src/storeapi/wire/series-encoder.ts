import { assert } from '#/lib/errors.ts';
import type { MessageWriter } from '#/grpc/message-writer.ts';
import { ChunkEncoding } from '#/tsdb/chunk.ts';
import type { StoreStats } from '../store-stats.ts';
import type { AggregateChunk, EncodedChunk, StoreSeries } from '../store.ts';
import { WireType, tag } from './proto-reader.ts';
import { statsFrame } from './stats-hints.ts';

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
const MAX_INT64 = 2n ** 63n - 1n;
const TWO_28 = 2 ** 28;

/** xxHash64 of chunk data, for peers that compare chunks by it. */
export type ChunkHash = (data: Uint8Array) => bigint;

/**
 * Writes frames of a Series stream (thanos.SeriesResponse in proto/store.proto) from what a `Store`
 * answers, the same bytes as the generated codec. Labels are encoded into scratch memory first,
 * which gives their size; sizes of chunks are computed; then everything is written once.
 */
export class SeriesEncoder {
  readonly #hash: ChunkHash | undefined;
  #scratch = Buffer.allocUnsafe(16_384);
  #scratchAt = 0;
  /** Sizes of the frame at hand in the order of writing: each aggregate chunk, then its chunks. */
  #sizes: number[] = [];
  #sizeAt = 0;
  readonly #hashes: bigint[] = [];
  #hashAt = 0;

  /** Without `hash` the field is left out, and peers that need it compute it. */
  constructor(hash?: ChunkHash) {
    this.#hash = hash;
  }

  warning(text: string, out: MessageWriter): void {
    const bytes = Buffer.from(text);
    out.begin(field(bytes.length));
    writeTagged(WARNING, bytes.length, out);
    out.bytes(bytes);
    out.end();
  }

  /** As hints. */
  stats(stats: StoreStats, out: MessageWriter): void {
    const frame = statsFrame(stats);
    out.begin(frame.length);
    out.bytes(frame);
    out.end();
  }

  /** One frame with one series. */
  series(series: StoreSeries, out: MessageWriter): void {
    this.#reset();
    const labelBytes = this.#encodeLabels(series);
    const size = labelBytes + this.#chunksSize(series);
    out.begin(field(size));
    this.#write(series, size, 0, labelBytes, out);
    out.end();
  }

  /** One frame with all series of `group`. */
  batch(group: readonly StoreSeries[], out: MessageWriter): void {
    this.#reset();
    let total = 0;
    const labelEnds: number[] = [];
    const sizes: number[] = [];
    for (const series of group) {
      const size = this.#encodeLabels(series) + this.#chunksSize(series);
      labelEnds.push(this.#scratchAt);
      sizes.push(size);
      total += field(size);
    }
    out.begin(field(total));
    writeTagged(BATCH, total, out);
    for (let i = 0; i < group.length; i++) {
      this.#write(group[i]!, sizes[i]!, i === 0 ? 0 : labelEnds[i - 1]!, labelEnds[i]!, out);
    }
    out.end();
  }

  #reset(): void {
    this.#scratchAt = 0;
    this.#sizes.length = 0;
    this.#sizeAt = 0;
    this.#hashes.length = 0;
    this.#hashAt = 0;
  }

  #write(
    series: StoreSeries,
    size: number,
    labelStart: number,
    labelEnd: number,
    out: MessageWriter,
  ): void {
    writeTagged(SERIES, size, out);
    out.bytes(this.#scratch.subarray(labelStart, labelEnd));
    for (const chunk of series.chunks) this.#writeAggregate(chunk, out);
  }

  #chunksSize({ chunks }: StoreSeries): number {
    let total = 0;
    for (const chunk of chunks) total += field(this.#aggregateSize(chunk));
    return total;
  }

  #aggregateSize(chunk: AggregateChunk): number {
    const { raw, count, sum, min, max, counter } = chunk;
    const slot = this.#sizes.push(0) - 1;
    let size = int64FieldSize(chunk.mint) + int64FieldSize(chunk.maxt);
    if (raw !== undefined) size += field(this.#chunkSize(raw));
    if (count !== undefined) size += field(this.#chunkSize(count));
    if (sum !== undefined) size += field(this.#chunkSize(sum));
    if (min !== undefined) size += field(this.#chunkSize(min));
    if (max !== undefined) size += field(this.#chunkSize(max));
    if (counter !== undefined) size += field(this.#chunkSize(counter));
    this.#sizes[slot] = size;
    return size;
  }

  #chunkSize({ encoding, data }: EncodedChunk): number {
    let size = encoding === ChunkEncoding.Xor ? 0 : 2;
    if (data.length > 0) size += field(data.length);
    if (this.#hash !== undefined) {
      const hash = this.#hash(data);
      this.#hashes.push(hash);
      size += 1 + uvarint64Size(hash);
    }
    this.#sizes.push(size);
    return size;
  }

  #writeAggregate(chunk: AggregateChunk, out: MessageWriter): void {
    const { mint, maxt, raw, count, sum, min, max, counter } = chunk;
    const size = this.#sizes[this.#sizeAt++]!;
    const start = out.claim(1 + uvarintSize(size) + int64FieldSize(mint) + int64FieldSize(maxt));
    const room = out.room;
    let at = putTagged(room, start, CHUNKS, size);
    at = putInt64Field(room, at, MIN_TIME, mint);
    out.commit(putInt64Field(room, at, MAX_TIME, maxt));
    if (raw !== undefined) this.#writeChunk(RAW, raw, out);
    if (count !== undefined) this.#writeChunk(COUNT, count, out);
    if (sum !== undefined) this.#writeChunk(SUM, sum, out);
    if (min !== undefined) this.#writeChunk(MIN, min, out);
    if (max !== undefined) this.#writeChunk(MAX, max, out);
    if (counter !== undefined) this.#writeChunk(COUNTER, counter, out);
  }

  #writeChunk(fieldTag: number, { encoding, data }: EncodedChunk, out: MessageWriter): void {
    assert(encoding >= 1 && encoding <= 6, `the wire has no chunk encoding ${encoding}`);
    const size = this.#sizes[this.#sizeAt++]!;
    const isXor = encoding === ChunkEncoding.Xor;
    const { length } = data;
    const lengthSize = length === 0 ? 0 : 1 + uvarintSize(length);
    const start = out.claim(1 + uvarintSize(size) + (isXor ? 0 : 2) + lengthSize);
    const room = out.room;
    let at = putTagged(room, start, fieldTag, size);
    if (!isXor) at = putTagged(room, at, ENCODING, encoding - 1);
    if (length > 0) at = putTagged(room, at, DATA, length);
    out.commit(at);
    if (length > 0) out.bytes(data);
    if (this.#hash !== undefined) writeHash(this.#hashes[this.#hashAt++]!, out);
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
    this.#scratchAt = putTagged(this.#scratch, this.#scratchAt, fieldTag, length);
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

/** `value` is a whole number from 0 to 2^53. */
function uvarintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < TWO_28) return 4;
  return 4 + uvarintSize(Math.floor(value / TWO_28));
}

function uvarint64Size(value: bigint): number {
  wide[0] = value;
  const bits = halves[1]! === 0 ? 32 - Math.clz32(halves[0]!) : 64 - Math.clz32(halves[1]!);
  return Math.max(1, Math.ceil(bits / 7));
}

function int64FieldSize(value: number): number {
  if (value === 0) return 0;
  if (value > 0 && value <= Number.MAX_SAFE_INTEGER) return 1 + uvarintSize(value);
  return 1 + uvarint64Size(clamped(value));
}

/** Writes a tag and a number from 0 to 2^53 at `start`; returns where they end. */
function putTagged(room: Uint8Array, start: number, fieldTag: number, value: number): number {
  room[start] = fieldTag;
  return putUvarint(room, start + 1, value);
}

/** Bit operations work on 32 bits, so a larger number goes in two steps. */
function putUvarint(room: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  if (value >= TWO_28) {
    const high = Math.floor(value / TWO_28);
    const low = value - high * TWO_28;
    room[at++] = low | 0x80;
    room[at++] = (low >>> 7) | 0x80;
    room[at++] = (low >>> 14) | 0x80;
    room[at++] = (low >>> 21) | 0x80;
    rest = high;
  }
  while (rest > 0x7f) {
    room[at++] = rest | 0x80;
    rest >>>= 7;
  }
  room[at++] = rest;
  return at;
}

function putInt64Field(room: Uint8Array, at: number, fieldTag: number, value: number): number {
  if (value === 0) return at;
  if (value > 0 && value <= Number.MAX_SAFE_INTEGER) return putTagged(room, at, fieldTag, value);
  room[at] = fieldTag;
  return putUvarint64(room, at + 1, clamped(value));
}

/** The halves of a 64-bit number, which spare arithmetic on bigints. */
const wide = new BigUint64Array(1);
const halves = new Uint32Array(wide.buffer);

function putUvarint64(room: Uint8Array, start: number, value: bigint): number {
  wide[0] = value;
  let low = halves[0]!;
  let high = halves[1]!;
  let at = start;
  while (high !== 0 || low > 0x7f) {
    room[at++] = low | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  room[at++] = low;
  return at;
}

function writeTagged(fieldTag: number, value: number, out: MessageWriter): void {
  const at = out.claim(1 + uvarintSize(value));
  out.commit(putTagged(out.room, at, fieldTag, value));
}

function writeHash(hash: bigint, out: MessageWriter): void {
  const at = out.claim(1 + uvarint64Size(hash));
  out.room[at] = HASH;
  out.commit(putUvarint64(out.room, at + 1, hash));
}

function clamped(value: number): bigint {
  return value >= 2 ** 63 ? MAX_INT64 : BigInt(value);
}
