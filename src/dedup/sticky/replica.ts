import type { SampleBuffer } from '#/storage/sample-buffer.ts';

/** Distances between samples that share one estimate of the scrape interval. */
const BLOCK = 64;

/** One replica of a series, read forward. */
export class Replica {
  readonly samples: SampleBuffer;
  /** What is added to a counter's values while this replica is followed. */
  offset = 0;
  readonly #intervals: Float64Array;
  #next = 0;
  #block = 0;

  constructor(samples: SampleBuffer) {
    this.samples = samples;
    this.#intervals = estimateIntervals(samples.times, samples.length);
  }

  get length(): number {
    return this.samples.length;
  }

  time(index: number): number {
    return this.samples.times[index]!;
  }

  isHistogram(index: number): boolean {
    return this.samples.histograms?.[index] !== undefined;
  }

  isMarker(index: number): boolean {
    return this.samples.isStaleAt(index);
  }

  /** What only grows between the resets of a counter: its value, or a histogram's count. */
  level(index: number): number {
    return this.samples.histograms?.[index]?.count ?? this.samples.values[index]!;
  }

  /** The first index after `time`. Times asked for never go back. */
  after(time: number): number {
    const { times, length } = this.samples;
    while (this.#next < length && times[this.#next]! <= time) this.#next++;
    return this.#next;
  }

  /** The estimated distance of the scrapes around sample `index`; infinite when there is but one. */
  intervalAt(index: number): number {
    const block = Math.min(Math.floor(index / BLOCK), this.#intervals.length - 1);
    return this.#intervals[block] ?? Number.POSITIVE_INFINITY;
  }

  /** The last index that shares its estimate with `index`. */
  blockEnd(index: number): number {
    return Math.min((Math.floor(index / BLOCK) + 1) * BLOCK, this.length - 1);
  }

  /** The shortest estimate in force anywhere in `[from, to]`. `from` never goes back. */
  finestInterval(from: number, to: number): number {
    const { times, length } = this.samples;
    const intervals = this.#intervals;
    while (
      this.#block < intervals.length &&
      times[Math.min((this.#block + 1) * BLOCK, length - 1)]! < from
    ) {
      this.#block++;
    }
    let finest = Number.POSITIVE_INFINITY;
    for (let b = this.#block; b < intervals.length && times[b * BLOCK]! <= to; b++) {
      finest = Math.min(finest, intervals[b]!);
    }
    return finest;
  }
}

/**
 * One scrape interval for every `BLOCK` distances in a row, so that a changed configuration is
 * followed. It is their 10th percentile: gaps make distances longer, and up to nine of ten may be
 * gaps; a restart makes one shorter, and up to one of ten may be.
 */
function estimateIntervals(times: Float64Array, length: number): Float64Array {
  const distances = length - 1;
  if (distances < 1) return new Float64Array(0);
  // A short rest at the end shares the estimate before it.
  const blocks = Math.max(1, Math.floor((distances + BLOCK / 2) / BLOCK));
  const intervals = new Float64Array(blocks);
  for (let b = 0; b < blocks; b++) {
    const end = b === blocks - 1 ? distances : (b + 1) * BLOCK;
    intervals[b] = intervalOf(times, b * BLOCK, end);
  }
  return intervals;
}

function intervalOf(times: Float64Array, from: number, end: number): number {
  let shortest = Number.POSITIVE_INFINITY;
  let longest = 0;
  for (let i = from; i < end; i++) {
    const distance = times[i + 1]! - times[i]!;
    if (distance < shortest) shortest = distance;
    if (distance > longest) longest = distance;
  }
  // Nearly always: a replica without a gap, where any percentile will do.
  if (longest <= 1.2 * shortest) return shortest;
  const sorted = new Float64Array(end - from);
  for (let i = from; i < end; i++) sorted[i - from] = times[i + 1]! - times[i]!;
  sorted.sort();
  return sorted[Math.floor(sorted.length / 10)]!;
}
