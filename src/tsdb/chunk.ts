import { CorruptionError } from '#/lib/errors.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import {
  decodeHistogramRows,
  decodeHistograms,
  readHistogramGroup,
  readHistogramHeader,
} from './chunk/histogram.ts';
import type { HistogramForm } from './chunk/histogram.ts';
import { HistogramFlag } from './chunk/histogram-layout.ts';
import type { HistogramGroup, HistogramRows } from './histogram-rows.ts';
import { decodeXor } from './chunk/xor.ts';
import { decodeXor2 } from './chunk/xor2.ts';

/** The encoding byte of a chunk (tsdb/chunkenc/chunk.go in Prometheus; 255 is Thanos's). */
export const ChunkEncoding = {
  None: 0,
  Xor: 1,
  Histogram: 2,
  FloatHistogram: 3,
  Xor2: 4,
  HistogramSt: 5,
  FloatHistogramSt: 6,
  Aggregate: 255,
} as const;
export type ChunkEncoding = (typeof ChunkEncoding)[keyof typeof ChunkEncoding];

/** The bytes of a chunk, without length, encoding byte and checksum. */
export interface EncodedChunk {
  readonly encoding: number;
  readonly data: Uint8Array;
}

/** A chunk and the times of its first and last sample, in milliseconds. */
export interface TimedChunk extends EncodedChunk {
  readonly mint: number;
  readonly maxt: number;
}

/**
 * Appends the samples of `[mint, maxt]` (closed) to `into`: bit for bit, stale markers included, in
 * the chunk's order, which is by time unless the chunk is damaged. Floats, histograms and start
 * timestamps of all of Prometheus's encodings; aggregate chunks are taken apart in downsample/.
 * @throws CorruptionError if the encoding is unknown, or the data ends early or makes no sense.
 */
export function decodeChunk(
  chunk: EncodedChunk,
  mint: number,
  maxt: number,
  into: SampleBuffer,
): void {
  const { encoding, data } = chunk;
  if (encoding === ChunkEncoding.Xor) return decodeXor(data, mint, maxt, into);
  if (encoding === ChunkEncoding.Xor2) return decodeXor2(data, mint, maxt, into);
  return decodeHistograms(data, histogramForm(encoding), { mint, maxt }, into);
}

/**
 * Appends all samples of a histogram chunk to `into`, as `decodeChunk` would.
 * @throws CorruptionError if it is no histogram chunk, too.
 */
export function decodeHistogramChunk({ encoding, data }: EncodedChunk, into: HistogramRows): void {
  decodeHistogramRows(data, histogramForm(encoding), Number.POSITIVE_INFINITY, into);
}

/** What the samples of a histogram chunk share; `undefined` if it is empty. Nothing else is read. */
export function histogramGroup({
  encoding,
  data,
}: EncodedChunk): Pick<HistogramGroup, 'layout' | 'flag'> | undefined {
  return readHistogramGroup(data, histogramForm(encoding));
}

/** The number of samples that the chunk's header states; nothing else is read. */
export function chunkSampleCount(chunk: EncodedChunk): number {
  const { encoding, data } = chunk;
  const form = histogramForms.get(encoding);
  if (form !== undefined) return readHistogramHeader(data, form).count;
  if (encoding !== ChunkEncoding.Xor && encoding !== ChunkEncoding.Xor2) {
    throw unknownEncoding(encoding);
  }
  if (data.length < 2) {
    throw new CorruptionError(`chunk of ${data.length} bytes: expected a count of 2 bytes`);
  }
  return data[0]! * 256 + data[1]!;
}

/** What the header of a histogram chunk says of its relation to the chunk before; unknown for floats. */
export function histogramFlag({ encoding, data }: EncodedChunk): HistogramFlag {
  const form = histogramForms.get(encoding);
  return form === undefined ? HistogramFlag.Unknown : readHistogramHeader(data, form).flag;
}

/** Whether the samples of a chunk with this encoding are native histograms. */
export function isHistogramEncoding(encoding: number): boolean {
  return histogramForms.has(encoding);
}

const histogramForms: ReadonlyMap<number, HistogramForm> = new Map([
  [ChunkEncoding.Histogram, { float: false, startTimes: false }],
  [ChunkEncoding.FloatHistogram, { float: true, startTimes: false }],
  [ChunkEncoding.HistogramSt, { float: false, startTimes: true }],
  [ChunkEncoding.FloatHistogramSt, { float: true, startTimes: true }],
]);

function histogramForm(encoding: number): HistogramForm {
  const form = histogramForms.get(encoding);
  if (form === undefined) throw unknownEncoding(encoding);
  return form;
}

function unknownEncoding(encoding: number): CorruptionError {
  return new CorruptionError(`chunk encoding is ${encoding}, expected one from 1 to 6`);
}

/** Whether two chunks have the same samples in the same bytes. */
export function areEqualChunks(a: TimedChunk, b: TimedChunk): boolean {
  return (
    a.mint === b.mint &&
    a.maxt === b.maxt &&
    a.encoding === b.encoding &&
    Buffer.compare(a.data, b.data) === 0
  );
}
