import { assert } from '#/lib/errors.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ChunkEncoding, decodeChunk, histogramFlag } from './chunk.ts';
import type { EncodedChunk, TimedChunk } from './chunk.ts';
import { BitWriter } from './chunk/bit-writer.ts';
import { HistogramEncoder, isIntegerHistogram } from './chunk/histogram-encoder.ts';
import { writeLayout } from './chunk/histogram-layout.ts';
import type { HistogramFlag, HistogramLayout } from './chunk/histogram-layout.ts';
import { HistogramStream, mostHistograms } from './chunk/histogram-stream.ts';
import { XorEncoder } from './chunk/xor-encoder.ts';
import { Xor2Encoder } from './chunk/xor2-encoder.ts';

export { HistogramEncoder, isIntegerHistogram } from './chunk/histogram-encoder.ts';
export { HistogramFlag } from './chunk/histogram-layout.ts';
export { XorEncoder } from './chunk/xor-encoder.ts';

/** Samples a chunk has at most wherever Prometheus or Thanos writes chunks anew. */
export const SAMPLES_PER_CHUNK = 120;

export interface EncodeOptions {
  /** Default `SAMPLES_PER_CHUNK`; at most 65535. */
  readonly samplesPerChunk?: number;
  /** Default: integer histograms (encoding 2) wherever all counts of one are whole numbers. */
  readonly floatHistograms?: boolean;
  /** Of a histogram chunk that comes first: how it goes on from the one before. Default: unknown. */
  readonly firstFlag?: HistogramFlag;
  /** Encodings 4, 5, 6, which keep start timestamps, in place of 1, 2, 3. Default: false. */
  readonly startTimes?: boolean;
  /** Whose memory XOR chunks are in, until its owner clears it. Default: each in its own. */
  readonly into?: XorEncoder;
}

/**
 * Encodes samples `[from, to)` of the buffer as XOR and histogram chunks (1, 2, 3), dropping start
 * timestamps unless the options keep them. A chunk ends when it is full, when the type of sample changes and where a histogram
 * does not fit the chunk (a counter reset, another schema).
 */
export function encodeSamples(
  samples: SampleBuffer,
  options: EncodeOptions = {},
  from = 0,
  to = samples.length,
): TimedChunk[] {
  const chunks: TimedChunk[] = [];
  const { samplesPerChunk = SAMPLES_PER_CHUNK, startTimes = false } = options;
  const limit = Math.min(samplesPerChunk, mostHistograms(startTimes));
  let open: OpenChunk | undefined;
  for (let i = from; i < to;) {
    const time = samples.times[i]!;
    const histogram = samples.histograms?.[i];
    if (histogram === undefined && !startTimes) {
      if (open !== undefined) chunks.push(close(open));
      open = undefined;
      const end = endOfFloats(samples, i, Math.min(to, i + limit));
      chunks.push(xorChunk(samples, i, end, options.into));
      i = end;
      continue;
    }
    const encoding = encodingOf(histogram, options);
    if (open?.encoding !== encoding || open.encoder.sampleCount >= limit) {
      const previous: OpenChunk | undefined = open?.encoding === encoding ? open : undefined;
      if (open !== undefined) chunks.push(close(open));
      const isFirst = i === from;
      open = openChunk(
        encoding,
        time,
        isFirst ? options.firstFlag : flagAfter(previous, histogram),
      );
    }
    const refusal = append(open, samples, i, histogram);
    if (refusal !== undefined) {
      chunks.push(close(open));
      open = openChunk(encoding, time, refusal);
      append(open, samples, i, histogram);
    }
    open.maxt = time;
    i++;
  }
  if (open !== undefined) chunks.push(close(open));
  return chunks;
}

/**
 * Rows of float histograms (see `HistogramRows`), one behind the other in `values`, as one chunk. They
 * are of one layout, none is stale, and as the flag says: without a flag for gauges no count falls.
 */
export function encodeHistogramRows(
  layout: HistogramLayout,
  flag: HistogramFlag,
  times: Float64Array,
  values: Float64Array,
): EncodedChunk {
  const writer = new BitWriter(1024);
  writer.bits(0, 24);
  writeLayout(writer, layout);
  const stream = new HistogramStream({ float: true, startTimes: false }, writer);
  const stride = values.length / times.length;
  for (let i = 0; i < times.length; i++) stream.appendRow(times[i]!, values, i * stride, stride);
  return { encoding: ChunkEncoding.FloatHistogram, data: stream.toBytes(flag) };
}

/**
 * The chunk in encodings that every StoreAPI peer knows: XOR2 and the histograms with start
 * timestamps are written anew without them (4, 5, 6 become 1, 2, 3), everything else stays as it is.
 * @throws CorruptionError if a chunk that must be written anew is damaged.
 */
export function toWireChunks(chunk: TimedChunk): TimedChunk[] {
  const { encoding } = chunk;
  if (
    encoding !== ChunkEncoding.Xor2 &&
    encoding !== ChunkEncoding.HistogramSt &&
    encoding !== ChunkEncoding.FloatHistogramSt
  ) {
    return [chunk];
  }
  const samples = new SampleBuffer(256);
  decodeChunk(chunk, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, samples);
  return encodeSamples(samples, {
    samplesPerChunk: 0xffff,
    floatHistograms: encoding === ChunkEncoding.FloatHistogramSt,
    firstFlag: histogramFlag(chunk),
  });
}

type OpenChunk = { readonly mint: number; maxt: number } & (
  | { readonly encoding: typeof ChunkEncoding.Xor2; readonly encoder: Xor2Encoder }
  | { readonly encoding: HistogramEncoding; readonly encoder: HistogramEncoder }
);

type HistogramEncoding = (typeof ChunkEncoding)[
  | 'Histogram'
  | 'FloatHistogram'
  | 'HistogramSt'
  | 'FloatHistogramSt'];

function encodingOf(
  histogram: FloatHistogram | undefined,
  { startTimes = false, floatHistograms }: EncodeOptions,
): OpenChunk['encoding'] {
  if (histogram === undefined) return ChunkEncoding.Xor2;
  if (floatHistograms ?? !isIntegerHistogram(histogram)) {
    return startTimes ? ChunkEncoding.FloatHistogramSt : ChunkEncoding.FloatHistogram;
  }
  return startTimes ? ChunkEncoding.HistogramSt : ChunkEncoding.Histogram;
}

/** The end of the floats that begin at `start`, `limit` at the latest. */
function endOfFloats({ histograms }: SampleBuffer, start: number, limit: number): number {
  if (histograms === undefined) return limit;
  let end = start;
  while (end < limit && histograms[end] === undefined) end++;
  return end;
}

const xorEncoder = new XorEncoder();

function xorChunk(
  { times, halves }: SampleBuffer,
  from: number,
  to: number,
  into: XorEncoder | undefined,
): TimedChunk {
  xorEncoder.clear();
  const data =
    into?.encode(times, halves, from, to) ?? xorEncoder.encode(times, halves, from, to).slice();
  return { encoding: ChunkEncoding.Xor, data, mint: times[from]!, maxt: times[to - 1]! };
}

function openChunk(
  encoding: OpenChunk['encoding'],
  mint: number,
  flag: HistogramFlag | undefined,
): OpenChunk {
  const times = { mint, maxt: mint };
  if (encoding === ChunkEncoding.Xor2) return { ...times, encoding, encoder: new Xor2Encoder() };
  const float =
    encoding === ChunkEncoding.FloatHistogram || encoding === ChunkEncoding.FloatHistogramSt;
  const startTimes =
    encoding === ChunkEncoding.HistogramSt || encoding === ChunkEncoding.FloatHistogramSt;
  return { ...times, encoding, encoder: new HistogramEncoder({ float, startTimes }, flag) };
}

function flagAfter(
  previous: OpenChunk | undefined,
  histogram: FloatHistogram | undefined,
): HistogramFlag | undefined {
  if (histogram === undefined || !(previous?.encoder instanceof HistogramEncoder)) return undefined;
  return previous.encoder.flagAfter(histogram);
}

function append(
  open: OpenChunk,
  samples: SampleBuffer,
  index: number,
  histogram: FloatHistogram | undefined,
): HistogramFlag | undefined {
  const time = samples.times[index]!;
  const startTime = samples.startTimes?.[index] ?? 0;
  if (open.encoding === ChunkEncoding.Xor2) {
    const [low, high] = [samples.halves[2 * index]!, samples.halves[2 * index + 1]!];
    open.encoder.append(time, high, low, startTime);
    return undefined;
  }
  assert(histogram !== undefined, 'a histogram chunk takes histograms');
  return open.encoder.append(time, histogram, startTime);
}

function close({ encoding, encoder, mint, maxt }: OpenChunk): TimedChunk {
  return { encoding, data: encoder.toBytes(), mint, maxt };
}
