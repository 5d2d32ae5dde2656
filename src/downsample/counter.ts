/**
 * The running total of a counter whose chunks are read one after the other, resets made up for. In
 * a downsampled counter the last sample of a chunk repeats the time before it and holds the true
 * value there, against which the next chunk's first sample is compared; so samples must go in one by
 * one, none left out, and those of raw chunks may be mixed in.
 * Source: ApplyCounterResetsSeriesIterator in pkg/compact/downsample of Thanos.
 */
export class CounterTotal {
  /** The sum of all increases, on top of the first value. */
  total = 0;
  /** The time of the last sample, -Infinity before the first. */
  time = Number.NEGATIVE_INFINITY;
  /** The counter's own last value. */
  lastValue = 0;

  /** Takes a sample in; says whether it is one of the series, with `total` as its value. */
  add(time: number, value: number): boolean {
    if (value !== value || time < this.time) return false;
    if (time === this.time) {
      this.lastValue = value;
      return false;
    }
    const isFirst = this.time === Number.NEGATIVE_INFINITY;
    this.total += isFirst || value < this.lastValue ? value : value - this.lastValue;
    this.time = time;
    this.lastValue = value;
    return true;
  }

  /** Passes over a sample that is no number: a histogram. Says whether it is one of the series. */
  skipTo(time: number): boolean {
    if (time <= this.time) return false;
    this.time = time;
    return true;
  }
}
