import { CUSTOM_BUCKETS_SCHEMA } from '#/model/histogram.ts';
import type { Span } from '#/model/histogram.ts';
import type { BitReader } from './bit-reader.ts';
import type { BitWriter } from './bit-writer.ts';

/** What all histograms of a chunk share. Format: tsdb/chunkenc/histogram_meta.go in Prometheus. */
export interface HistogramLayout {
  readonly schema: number;
  readonly zeroThreshold: number;
  readonly positiveSpans: readonly Span[];
  readonly negativeSpans: readonly Span[];
  readonly customValues: Float64Array;
}

/** The two top bits of a histogram chunk's flag byte. */
export const HistogramFlag = { Unknown: 0x00, NotReset: 0x40, Reset: 0x80, Gauge: 0xc0 } as const;
export type HistogramFlag = (typeof HistogramFlag)[keyof typeof HistogramFlag];

export const noValues = new Float64Array(0);

export const emptyLayout: HistogramLayout = {
  schema: 0,
  zeroThreshold: 0,
  positiveSpans: [],
  negativeSpans: [],
  customValues: noValues,
};

/**
 *     zero threshold | schema <varbit int> | positive spans | negative spans | custom bounds
 *
 * Bounds are there for schema -53 only.
 * @throws CorruptionError if the schema is none or there are more buckets than bits.
 */
export function readLayout(reader: BitReader): HistogramLayout {
  const zeroThreshold = readZeroThreshold(reader);
  const schema = reader.varbitInt();
  if (schema !== CUSTOM_BUCKETS_SCHEMA && (schema < -4 || schema > MAX_RESERVED_SCHEMA)) {
    throw reader.damaged(`histogram schema ${schema}, expected -53 or one from -4 to 52`);
  }
  const positiveSpans = readSpans(reader);
  const negativeSpans = readSpans(reader);
  const customValues = schema === CUSTOM_BUCKETS_SCHEMA ? readBounds(reader) : noValues;
  const buckets = countBuckets(positiveSpans) + countBuckets(negativeSpans);
  if (buckets > reader.remainingBits) {
    throw reader.damaged(`${buckets} buckets with ${reader.remainingBits} bits left`);
  }
  return { schema, zeroThreshold, positiveSpans, negativeSpans, customValues };
}

export function writeLayout(writer: BitWriter, layout: HistogramLayout): void {
  writeZeroThreshold(writer, layout.zeroThreshold);
  writer.varbitInt(layout.schema);
  writeSpans(writer, layout.positiveSpans);
  writeSpans(writer, layout.negativeSpans);
  if (layout.schema !== CUSTOM_BUCKETS_SCHEMA) return;
  writer.varbitUint(layout.customValues.length);
  for (const bound of layout.customValues) writeBound(writer, bound);
}

export function countBuckets(spans: readonly Span[]): number {
  let count = 0;
  for (const span of spans) count += span.length;
  return count;
}

/** Schemas above 8 are reserved for finer histograms to come. */
const MAX_RESERVED_SCHEMA = 52;

/** One byte for 0 and the powers of two from 2^-243 to 2^10, the whole double behind 255 otherwise. */
function readZeroThreshold(reader: BitReader): number {
  const code = reader.bits(8);
  if (code === 0) return 0;
  return code === 255 ? reader.float64() : 2 ** (code - 244);
}

function writeZeroThreshold(writer: BitWriter, threshold: number): void {
  const code = threshold === 0 ? 0 : Math.log2(threshold) + 244;
  const isPower = code >= 1 && code <= 254 && 2 ** (Math.round(code) - 244) === threshold;
  if (threshold === 0 || isPower) {
    writer.bits(Math.round(code), 8);
  } else {
    writer.bits(255, 8);
    writer.float64(threshold);
  }
}

function readSpans(reader: BitReader): Span[] {
  const spans: Span[] = [];
  for (let left = reader.varbitUint(); left > 0; left--) {
    const length = reader.varbitUint();
    const offset = reader.varbitInt();
    if (length > 0xffffffff || Math.abs(offset) > 0x80000000) {
      throw reader.damaged(
        `a span of ${length} buckets at offset ${offset}, expected 32-bit numbers`,
      );
    }
    spans.push({ offset, length });
  }
  return spans;
}

function writeSpans(writer: BitWriter, spans: readonly Span[]): void {
  writer.varbitUint(spans.length);
  for (const span of spans) {
    writer.varbitUint(span.length);
    writer.varbitInt(span.offset);
  }
}

/** Whole thousandths are stored as numbers, one higher, so that 0 can announce a whole double. */
function readBounds(reader: BitReader): Float64Array {
  const count = reader.varbitUint();
  if (count > reader.remainingBits) {
    throw reader.damaged(`${count} bucket bounds with ${reader.remainingBits} bits left`);
  }
  return Float64Array.from({ length: count }, () => {
    const code = reader.varbitUint();
    return code === 0 ? reader.float64() : (code - 1) / 1000;
  });
}

function writeBound(writer: BitWriter, bound: number): void {
  const thousandths = Math.round(bound * 1000);
  const fits = bound * 1000 >= 0 && bound * 1000 <= 33554430 && thousandths / 1000 === bound;
  if (fits && !Object.is(bound, -0)) {
    writer.varbitUint(thousandths + 1);
  } else {
    writer.bits(0, 1);
    writer.float64(bound);
  }
}
