import { CounterReset, CUSTOM_BUCKETS_SCHEMA } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { isStaleNaN } from '#/model/stale.ts';
import { BitWriter } from './bit-writer.ts';
import { spanIndexes, spansOf, spreadBuckets, unionIndexes } from './bucket-indexes.ts';
import { emptyLayout, HistogramFlag, noValues, writeLayout } from './histogram-layout.ts';
import type { HistogramLayout } from './histogram-layout.ts';
import type { HistogramForm } from './histogram.ts';
import { HistogramStream } from './histogram-stream.ts';
import type { HistogramRow } from './histogram-stream.ts';

/**
 * Writes a histogram chunk (encoding 2, 3 for floats, 5 and 6 with start timestamps) by the rules of Prometheus's appenders:
 * within a chunk a counter never resets, and all samples share one bucket layout, which widens as
 * buckets appear. Cutting by size or count is the caller's business.
 * Rules: `appendable` in tsdb/chunkenc/{histogram,float_histogram}.go in Prometheus.
 */
export class HistogramEncoder {
  readonly #form: HistogramForm;
  readonly #rows: HistogramRow[] = [];
  #flag: HistogramFlag;
  #layout = emptyLayout;
  #positive: readonly number[] = [];
  #negative: readonly number[] = [];
  #stream: HistogramStream;

  /** `flag` is what a refusing encoder answered, or `flagAfter`; the first sample's own hint goes before it. */
  constructor(form: HistogramForm, flag: HistogramFlag = HistogramFlag.Unknown) {
    this.#form = form;
    this.#flag = flag;
    this.#stream = new HistogramStream(form, new BitWriter());
  }

  get sampleCount(): number {
    return this.#rows.length;
  }

  get sizeBytes(): number {
    return this.#stream.sizeBytes;
  }

  /**
   * Appends the sample, or refuses it with the flag that a new chunk beginning with it should have.
   * An integer encoder takes whole numbers below 2^53 only (see `isIntegerHistogram`).
   */
  append(time: number, histogram: FloatHistogram, startTime = 0): HistogramFlag | undefined {
    const last = this.#rows.at(-1);
    if (last === undefined) this.#begin(histogram);
    else {
      const refusal = this.#judge(histogram, last);
      if (refusal !== undefined) return refusal;
    }
    const stale = isStaleNaN(histogram.sum);
    if (!stale) this.#widenTo(histogram);
    const row: HistogramRow = {
      time,
      startTime,
      stale,
      count: stale ? 0 : histogram.count,
      zeroCount: stale ? 0 : histogram.zeroCount,
      sum: histogram.sum,
      positive: stale ? noValues : this.#aligned(histogram, 'positive'),
      negative: stale ? noValues : this.#aligned(histogram, 'negative'),
    };
    this.#rows.push(row);
    this.#stream.append(row);
    return undefined;
  }

  /** The flag of a chunk that goes on after this one with `histogram`, when it was cut for its size. */
  flagAfter(histogram: FloatHistogram): HistogramFlag {
    const last = this.#rows.at(-1);
    if (last === undefined) return HistogramFlag.Unknown;
    return this.#judge(histogram, last) ?? HistogramFlag.NotReset;
  }

  /** The chunk so far; appending may go on. */
  toBytes(): Uint8Array {
    return this.#stream.toBytes(this.#flag);
  }

  #begin(first: FloatHistogram): void {
    if (first.counterReset === CounterReset.Gauge) this.#flag = HistogramFlag.Gauge;
    else if (first.counterReset === CounterReset.Yes) this.#flag = HistogramFlag.Reset;
    this.#layout = isStaleNaN(first.sum) ? emptyLayout : first;
    this.#positive = spanIndexes(this.#layout.positiveSpans);
    this.#negative = spanIndexes(this.#layout.negativeSpans);
    this.#restart();
  }

  /** The reason to cut before `next`, as the new chunk's flag; `undefined` if it fits. */
  #judge(next: FloatHistogram, last: HistogramRow): HistogramFlag | undefined {
    const isGauge = next.counterReset === CounterReset.Gauge;
    const unknown = isGauge ? HistogramFlag.Gauge : HistogramFlag.Unknown;
    if ((this.#flag === HistogramFlag.Gauge) !== isGauge) {
      return isGauge || this.#form.float ? unknown : HistogramFlag.NotReset;
    }
    if (next.counterReset === CounterReset.Yes) return HistogramFlag.Reset;
    if (isStaleNaN(next.sum)) return undefined;
    if (last.stale) return unknown;
    const reset = isGauge ? HistogramFlag.Gauge : HistogramFlag.Reset;
    if (!isGauge && next.count < last.count) return reset;
    const { schema, zeroThreshold, customValues } = this.#layout;
    if (next.schema !== schema || next.zeroThreshold !== zeroThreshold) return unknown;
    if (schema === CUSTOM_BUCKETS_SCHEMA && !sameBounds(next.customValues, customValues))
      return reset;
    if (!isGauge && this.#anyBucketFell(next, last)) return reset;
    return undefined;
  }

  #anyBucketFell(next: FloatHistogram, last: HistogramRow): boolean {
    return (
      next.zeroCount < last.zeroCount ||
      bucketFell(last.positive, this.#positive, next.positiveBuckets, next.positiveSpans) ||
      bucketFell(last.negative, this.#negative, next.negativeBuckets, next.negativeSpans)
    );
  }

  /** Makes the layout hold all buckets of `histogram`, writing the chunk anew if it has to grow. */
  #widenTo(histogram: FloatHistogram): void {
    const positive = unionIndexes(this.#positive, spanIndexes(histogram.positiveSpans));
    const negative = unionIndexes(this.#negative, spanIndexes(histogram.negativeSpans));
    const grows =
      positive.length > this.#positive.length || negative.length > this.#negative.length;
    if (!grows) return;
    for (const [i, row] of this.#rows.entries()) {
      if (row.stale) continue;
      this.#rows[i] = {
        ...row,
        positive: spreadBuckets(row.positive, this.#positive, positive),
        negative: spreadBuckets(row.negative, this.#negative, negative),
      };
    }
    this.#positive = positive;
    this.#negative = negative;
    this.#layout = {
      ...this.#layout,
      positiveSpans: spansOf(positive),
      negativeSpans: spansOf(negative),
    };
    this.#restart();
  }

  #restart(): void {
    const writer = new BitWriter();
    writer.bits(0, 24);
    writeLayout(writer, this.#layout);
    this.#stream = new HistogramStream(this.#form, writer);
    for (const row of this.#rows) this.#stream.append(row);
  }

  #aligned(histogram: FloatHistogram, sign: 'positive' | 'negative'): Float64Array {
    return sign === 'positive'
      ? spreadBuckets(
          histogram.positiveBuckets,
          spanIndexes(histogram.positiveSpans),
          this.#positive,
        )
      : spreadBuckets(
          histogram.negativeBuckets,
          spanIndexes(histogram.negativeSpans),
          this.#negative,
        );
  }
}

/** Whether an integer chunk can hold it: whole counts below 2^53, none negative but in buckets. */
export function isIntegerHistogram(histogram: FloatHistogram): boolean {
  if (isStaleNaN(histogram.sum)) return true;
  const { count, zeroCount, positiveBuckets, negativeBuckets } = histogram;
  const isCount = (value: number): boolean =>
    Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
  return (
    isCount(count) &&
    isCount(zeroCount) &&
    positiveBuckets.every(isCount) &&
    negativeBuckets.every(isCount)
  );
}

function bucketFell(
  last: Float64Array,
  lastIndexes: readonly number[],
  next: Float64Array,
  nextSpans: HistogramLayout['positiveSpans'],
): boolean {
  const nextIndexes = spanIndexes(nextSpans);
  let k = 0;
  for (let i = 0; i < last.length; i++) {
    while (k < nextIndexes.length && nextIndexes[k]! < lastIndexes[i]!) k++;
    const now = nextIndexes[k] === lastIndexes[i] ? next[k]! : 0;
    if (now < last[i]!) return true;
  }
  return false;
}

function sameBounds(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((bound, i) => bound === b[i]);
}
