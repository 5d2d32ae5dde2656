import { compareUtf8 } from '#/lib/utf8.ts';
import { Labels } from '#/model/labels.ts';
import type { Label } from '#/model/labels.ts';
import type { StoreStats } from '../store-stats.ts';
import type { AggregateChunk, EncodedChunk, SeriesBatch, StoreSeries } from '../store.ts';
import { Interner } from './interner.ts';
import { ProtoReader, WireType, tag } from './proto-reader.ts';
import { statsOf } from './stats-hints.ts';

const SERIES = tag(1, WireType.Bytes);
const WARNING = tag(2, WireType.Bytes);
const HINTS = tag(3, WireType.Bytes);
const BATCH = tag(4, WireType.Bytes);
const BATCH_SERIES = tag(1, WireType.Bytes);
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

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/**
 * Decodes the frames of a Series stream (thanos.SeriesResponse in proto/store.proto) straight into
 * what a `Store` answers. Chunk data are views into the frame.
 */
export class SeriesDecoder {
  readonly #interner = new Interner();

  /** @throws CorruptionError if the frame is damaged. */
  decode(frame: Uint8Array): SeriesBatch {
    const reader = new ProtoReader(frame);
    const series: StoreSeries[] = [];
    const warnings: string[] = [];
    let stats: StoreStats | undefined;
    const limit = frame.length;
    while (reader.at < limit) {
      const field = reader.uint32();
      if (field === SERIES) {
        series.push(this.#series(reader, reader.end(limit)));
      } else if (field === BATCH) {
        this.#batch(reader, reader.end(limit), series);
      } else if (field === WARNING) {
        const end = reader.end(limit);
        warnings.push(reader.bytes.toString('utf8', reader.at, end));
        reader.at = end;
      } else if (field === HINTS) {
        const end = reader.end(limit);
        stats = statsOf(reader.bytes.subarray(reader.at, end));
        reader.at = end;
      } else {
        reader.skip(field & 7, limit);
      }
    }
    reader.check(limit);
    return { series, warnings, ...(stats === undefined ? {} : { stats }) };
  }

  #batch(reader: ProtoReader, limit: number, series: StoreSeries[]): void {
    while (reader.at < limit) {
      const field = reader.uint32();
      if (field === BATCH_SERIES) series.push(this.#series(reader, reader.end(limit)));
      else reader.skip(field & 7, limit);
    }
    reader.check(limit);
  }

  #series(reader: ProtoReader, limit: number): StoreSeries {
    const flat: string[] = [];
    const chunks: AggregateChunk[] = [];
    let sorted = true;
    let previous = '';
    while (reader.at < limit) {
      const field = reader.uint32();
      if (field === LABELS) {
        this.#label(reader, reader.end(limit), flat);
        const name = flat[flat.length - 2]!;
        sorted &&= flat[flat.length - 1] !== '' && (previous === '' || isBefore(previous, name));
        previous = name;
      } else if (field === CHUNKS) {
        chunks.push(aggregateChunk(reader, reader.end(limit)));
      } else {
        reader.skip(field & 7, limit);
      }
    }
    reader.check(limit);
    return { labels: sorted ? Labels.fromSortedFlat(flat) : Labels.from(pairs(flat)), chunks };
  }

  #label(reader: ProtoReader, limit: number, flat: string[]): void {
    let name = '';
    let value = '';
    while (reader.at < limit) {
      const field = reader.uint32();
      if (field === NAME || field === VALUE) {
        const end = reader.end(limit);
        const text = this.#interner.text(reader.bytes, reader.at, end);
        if (field === NAME) name = text;
        else value = text;
        reader.at = end;
      } else {
        reader.skip(field & 7, limit);
      }
    }
    reader.check(limit);
    flat.push(name, value);
  }
}

function aggregateChunk(reader: ProtoReader, limit: number): AggregateChunk {
  const chunk: Writable<AggregateChunk> = { mint: 0, maxt: 0 };
  while (reader.at < limit) {
    const field = reader.uint32();
    switch (field) {
      case MIN_TIME:
        chunk.mint = reader.int64();
        break;
      case MAX_TIME:
        chunk.maxt = reader.int64();
        break;
      case RAW:
        chunk.raw = encodedChunk(reader, reader.end(limit));
        break;
      case COUNT:
        chunk.count = encodedChunk(reader, reader.end(limit));
        break;
      case SUM:
        chunk.sum = encodedChunk(reader, reader.end(limit));
        break;
      case MIN:
        chunk.min = encodedChunk(reader, reader.end(limit));
        break;
      case MAX:
        chunk.max = encodedChunk(reader, reader.end(limit));
        break;
      case COUNTER:
        chunk.counter = encodedChunk(reader, reader.end(limit));
        break;
      default:
        reader.skip(field & 7, limit);
    }
  }
  reader.check(limit);
  return chunk;
}

const noData = new Uint8Array(0);

/** The wire counts encodings from 0 where chunk files count from 1. The hash is skipped. */
function encodedChunk(reader: ProtoReader, limit: number): EncodedChunk {
  let encoding = 1;
  let data: Uint8Array = noData;
  while (reader.at < limit) {
    const field = reader.uint32();
    if (field === DATA) {
      const end = reader.end(limit);
      const { bytes } = reader;
      data = new Uint8Array(bytes.buffer, bytes.byteOffset + reader.at, end - reader.at);
      reader.at = end;
    } else if (field === ENCODING) {
      encoding = reader.uint32() + 1;
    } else {
      reader.skip(field & 7, limit);
    }
  }
  reader.check(limit);
  return { encoding, data };
}

/** Names that differ in ASCII alone are told apart by one comparison of the engine. */
function isBefore(a: string, b: string): boolean {
  return compareUtf8(a, b) < 0;
}

function* pairs(flat: readonly string[]): Generator<Label, void> {
  for (let i = 0; i < flat.length; i += 2) yield { name: flat[i]!, value: flat[i + 1]! };
}
