import { ByteReader } from '#/lib/byte-reader.ts';
import type { Matcher, MatchType } from '#/model/matcher.ts';
import { LabelMatcher_Type, ReadRequest, ReadRequest_ResponseType } from '#/proto/remote.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import type { AggregateChunk } from '../store.ts';

export interface ReadQuery {
  /** Closed range in milliseconds. */
  readonly mint: number;
  readonly maxt: number;
  readonly matchers: readonly Matcher[];
}

/** A series with its chunks, as the server wrote them down. */
export interface ChunkedSeries {
  /** `[name, value, …]`, sorted by name. */
  readonly labels: readonly string[];
  readonly chunks: readonly AggregateChunk[];
}

/** A series with its samples; histograms are left out, as they only matter in chunks. */
export interface SampledSeries {
  readonly labels: readonly string[];
  readonly samples: SampleBuffer;
}

/** What an old server understands is `SAMPLES`; a server takes the first that it knows. */
export function encodeReadRequest({ mint, maxt, matchers }: ReadQuery): Uint8Array {
  const query = {
    startTimestampMs: inInt64(mint),
    endTimestampMs: inInt64(maxt),
    matchers: matchers.map(({ type, name, value }) => ({ type: wireTypes[type], name, value })),
  };
  const acceptedResponseTypes = [
    ReadRequest_ResponseType.STREAMED_XOR_CHUNKS,
    ReadRequest_ResponseType.SAMPLES,
  ];
  return ReadRequest.encode({ queries: [query], acceptedResponseTypes }).finish();
}

/**
 * Decodes one frame (`ChunkedReadResponse`) by hand: the data of the chunks are views into it.
 * @throws CorruptionError if it is no such message.
 */
export function decodeChunkedRead(frame: Uint8Array): ChunkedSeries[] {
  const all: ChunkedSeries[] = [];
  eachField(new Field(frame), (field) => {
    if (field.number === 1) all.push(decodeChunkedSeries(field.message()));
  });
  return all;
}

/** Decodes a `ReadResponse`; by hand, since values must keep the bits of their NaNs. */
export function decodeSampledRead(body: Uint8Array): SampledSeries[] {
  const all: SampledSeries[] = [];
  eachField(new Field(body), (results) => {
    if (results.number !== 1) return;
    eachField(results.message(), (result) => {
      if (result.number === 1) all.push(decodeTimeSeries(result.message()));
    });
  });
  return all;
}

/** The largest double that a signed 64-bit field takes. */
const LARGEST_INT64 = 2 ** 63 - 1024;

function inInt64(time: number): number {
  return Math.min(LARGEST_INT64, Math.max(-(2 ** 63), time));
}

const wireTypes = {
  '=': LabelMatcher_Type.EQ,
  '!=': LabelMatcher_Type.NEQ,
  '=~': LabelMatcher_Type.RE,
  '!~': LabelMatcher_Type.NRE,
} as const satisfies Record<MatchType, LabelMatcher_Type>;

function decodeChunkedSeries(fields: Field): ChunkedSeries {
  const labels: string[] = [];
  const chunks: AggregateChunk[] = [];
  eachField(fields, (field) => {
    if (field.number === 1) decodeLabel(field.message(), labels);
    else if (field.number === 2) chunks.push(decodeChunk(field.message()));
  });
  return { labels, chunks };
}

function decodeChunk(fields: Field): AggregateChunk {
  let mint = 0;
  let maxt = 0;
  let encoding = 0;
  let data: Uint8Array = empty;
  eachField(fields, (field) => {
    if (field.number === 1) mint = field.int64();
    else if (field.number === 2) maxt = field.int64();
    else if (field.number === 3) encoding = field.int64();
    else if (field.number === 4) data = field.bytes();
  });
  return { mint, maxt, raw: { encoding, data } };
}

function decodeTimeSeries(fields: Field): SampledSeries {
  const labels: string[] = [];
  const samples = new SampleBuffer(16);
  eachField(fields, (field) => {
    if (field.number === 1) decodeLabel(field.message(), labels);
    else if (field.number === 2) decodeSample(field.message(), samples);
  });
  return { labels, samples };
}

function decodeLabel(fields: Field, labels: string[]): void {
  let name = '';
  let value = '';
  eachField(fields, (field) => {
    if (field.number === 1) name = field.text();
    else if (field.number === 2) value = field.text();
  });
  if (value !== '') labels.push(name, value);
}

function decodeSample(fields: Field, samples: SampleBuffer): void {
  let time = 0;
  let value: Uint8Array = zero;
  eachField(fields, (field) => {
    if (field.number === 1) value = field.fixed64();
    else if (field.number === 2) time = field.int64();
  });
  samples.pushFloat(time, 0);
  const view = new DataView(value.buffer, value.byteOffset, 8);
  const at = 2 * (samples.length - 1);
  samples.halves[at] = view.getInt32(0, true);
  samples.halves[at + 1] = view.getInt32(4, true);
}

const empty = new Uint8Array(0);
const zero = new Uint8Array(8);

/** Calls `visit` for every field; what it does not read is skipped. */
function eachField(fields: Field, visit: (field: Field) => void): void {
  while (fields.next()) {
    visit(fields);
    fields.skip();
  }
}

const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const;

/** A cursor over the fields of one protobuf message. */
class Field {
  number = 0;
  readonly #message: Uint8Array;
  readonly #reader: ByteReader;
  #wireType = 0;
  #unread = false;

  constructor(message: Uint8Array) {
    this.#message = message;
    this.#reader = new ByteReader(message, 0, 'remote-read message');
  }

  /** Moves to the next field; false at the end. */
  next(): boolean {
    if (this.#reader.remaining === 0) return false;
    const tag = this.#reader.uvarint();
    this.number = Math.floor(tag / 8);
    this.#wireType = tag % 8;
    this.#unread = true;
    return true;
  }

  message(): Field {
    return new Field(this.bytes());
  }

  bytes(): Uint8Array {
    this.#take(WireType.Bytes);
    return this.#reader.bytes(this.#reader.uvarint());
  }

  text(): string {
    this.#take(WireType.Bytes);
    return this.#reader.string();
  }

  fixed64(): Uint8Array {
    this.#take(WireType.Fixed64);
    return this.#reader.bytes(8);
  }

  /** Times before 1970 are two's complement in ten bytes. */
  int64(): number {
    this.#take(WireType.Varint);
    if (!this.#isNegative()) return this.#reader.uvarint();
    return Number(BigInt.asIntN(64, this.#reader.uvarint64()));
  }

  skip(): void {
    if (!this.#unread) return;
    const reader = this.#reader;
    if (this.#wireType === WireType.Varint) reader.uvarint64();
    else if (this.#wireType === WireType.Fixed64) reader.skip(8);
    else if (this.#wireType === WireType.Bytes) reader.skip(reader.uvarint());
    else if (this.#wireType === WireType.Fixed32) reader.skip(4);
    else throw reader.error('wire type 0, 1, 2 or 5', String(this.#wireType));
    this.#unread = false;
  }

  #take(wireType: number): void {
    if (this.#wireType !== wireType) {
      throw this.#reader.error(
        `field ${this.number} of wire type ${wireType}`,
        `wire type ${this.#wireType}`,
      );
    }
    this.#unread = false;
  }

  #isNegative(): boolean {
    const start = this.#reader.offset;
    for (let i = 0; i < 9; i++) if ((this.#message[start + i] ?? 0) < 0x80) return false;
    return true;
  }
}
