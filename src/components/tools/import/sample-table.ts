import { BadInputError } from '#/lib/errors.ts';
import { formatG } from '#/lib/float-text.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { OpenMetricsSink } from '#/model/openmetrics.ts';
import { setNormalNaN } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';

/** Samples that are in memory at once: 24 bytes each, and half as much again to sort them. */
const DEFAULT_SAMPLES = 1 << 20;
/** Room for those of a piece of text that is read to its end: a line has 6 bytes or more. */
const SLACK = 1 << 17;
/** Series that are in memory at once, and what their labels may take. */
const MAX_SERIES = 200_000;
const MAX_LABEL_CHARACTERS = 32 * 1024 * 1024;

/** The samples of one series within one window of time, in order. */
export interface WindowSeries {
  /** Windows are counted from the epoch. */
  readonly window: number;
  readonly labels: Labels;
  /** Reused: of use until the next one is asked for. */
  readonly samples: SampleBuffer;
}

export interface SampleTableOptions {
  /** Names the text in errors. */
  readonly source: string;
  readonly externalLabels: Labels;
  readonly windowMs: number;
  /** How many samples to have in memory. Default 1,048,576, which take 25 MB. */
  readonly maxSamples?: number | undefined;
}

/** Later than the year 9999: milliseconds where seconds were expected. */
const LATEST_MS = 253_402_300_799_999;

/** Takes samples in any order, as columns, and gives them sorted. */
export class SampleTable implements OpenMetricsSink {
  readonly #options: SampleTableOptions;
  readonly #externalNames: ReadonlySet<string>;
  readonly #maxSamples: number;
  readonly #times: Float64Array;
  readonly #values: Float64Array;
  readonly #lines: Uint32Array;
  readonly #seriesOf: Uint32Array;
  #length = 0;
  #labels: Labels[] = [];
  #characters = 0;
  readonly #numbers = new Map<string, number>();

  constructor(options: SampleTableOptions) {
    this.#options = options;
    this.#maxSamples = options.maxSamples ?? DEFAULT_SAMPLES;
    const room = this.#maxSamples + SLACK;
    this.#times = new Float64Array(room);
    this.#values = new Float64Array(room);
    this.#lines = new Uint32Array(room);
    this.#seriesOf = new Uint32Array(room);
    this.#externalNames = new Set([...options.externalLabels].map(({ name }) => name));
  }

  get length(): number {
    return this.#length;
  }

  /** Whether it is to be emptied before the next piece of text is read. */
  get isFull(): boolean {
    return (
      this.#length >= this.#maxSamples ||
      this.#labels.length >= MAX_SERIES ||
      this.#characters >= MAX_LABEL_CHARACTERS
    );
  }

  clear(): void {
    this.#length = 0;
    this.#labels = [];
    this.#characters = 0;
    this.#numbers.clear();
  }

  /** Labels that equal an external one are left out; queries see that one. */
  series(labels: Labels, complain: (message: string) => Error): number {
    for (const { name, value } of this.#options.externalLabels) {
      const own = labels.get(name);
      if (own === '' || own === value) continue;
      throw complain(
        `label ${name}="${own}" would be hidden by the external label ${name}="${value}"; give another --label`,
      );
    }
    const kept = labels.without(this.#externalNames);
    const { key } = kept;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#labels.length;
      this.#labels.push(kept);
      this.#numbers.set(key, number);
      this.#characters += key.length;
    }
    return number;
  }

  sample(series: number, timeMs: number, value: number, line: number): void {
    if (Math.abs(timeMs) > LATEST_MS) {
      throw new BadInputError(
        `${this.#options.source}:${line}:1: found a timestamp of ${timeMs / 1000}, expected seconds since 1970; are these milliseconds?`,
      );
    }
    const at = this.#length++;
    this.#times[at] = timeMs;
    this.#values[at] = value;
    this.#seriesOf[at] = series;
    this.#lines[at] = line;
  }

  /**
   * Everything by window, then by labels, then by time; equal samples once.
   * @throws BadInputError that names the line if a series has two values at one time.
   */
  *sorted(): Generator<WindowSeries, void> {
    const bySeries = this.#labels.map((_, i) => i);
    bySeries.sort((a, b) => compareLabels(this.#labels[a]!, this.#labels[b]!));
    const ranks = new Uint32Array(bySeries.length);
    for (const [rank, series] of bySeries.entries()) ranks[series] = rank;
    const samples = new SampleBuffer();
    for (const { window, places } of this.#windows()) {
      const keys = new Float64Array(places.length);
      for (let i = 0; i < places.length; i++) {
        keys[i] = ranks[this.#seriesOf[places[i]!]!]! * places.length + i;
      }
      keys.sort();
      for (let i = 0; i < keys.length;) {
        const rank = Math.floor(keys[i]! / places.length);
        const limit = (rank + 1) * places.length;
        const group: number[] = [];
        for (; i < keys.length && keys[i]! < limit; i++) {
          group.push(places[keys[i]! % places.length]!);
        }
        const labels = this.#labels[bySeries[rank]!]!;
        this.#gather(labels, group, samples);
        yield { window, labels, samples };
      }
    }
  }

  /** The places of the samples of each window, in the order in which they came. */
  *#windows(): Generator<{ readonly window: number; readonly places: Uint32Array }, void> {
    const { windowMs } = this.#options;
    const counts = new Map<number, number>();
    for (let i = 0; i < this.#length; i++) {
      const window = Math.floor(this.#times[i]! / windowMs);
      counts.set(window, (counts.get(window) ?? 0) + 1);
    }
    const all = new Uint32Array(this.#length);
    const windows = [...counts.keys()].sort((a, b) => a - b);
    const ends = new Map<number, number>();
    let start = 0;
    for (const window of windows) {
      ends.set(window, start);
      start += counts.get(window)!;
    }
    for (let i = 0; i < this.#length; i++) {
      const window = Math.floor(this.#times[i]! / windowMs);
      const at = ends.get(window)!;
      all[at] = i;
      ends.set(window, at + 1);
    }
    for (const window of windows) {
      const end = ends.get(window)!;
      yield { window, places: all.subarray(end - counts.get(window)!, end) };
    }
  }

  #gather(labels: Labels, places: number[], into: SampleBuffer): void {
    const times = this.#times;
    let isSorted = true;
    for (let i = 1; i < places.length; i++) {
      if (times[places[i]!]! < times[places[i - 1]!]!) isSorted = false;
    }
    if (!isSorted) places.sort((a, b) => times[a]! - times[b]! || a - b);
    into.clear();
    for (const [i, place] of places.entries()) {
      const before = places[i - 1];
      if (before !== undefined && times[before] === times[place]) {
        this.#checkEqual(labels, before, place);
        continue;
      }
      const value = this.#values[place]!;
      into.pushFloat(times[place]!, value);
      if (Number.isNaN(value)) setNormalNaN(into.halves, into.length - 1);
    }
  }

  #checkEqual(labels: Labels, first: number, second: number): void {
    const [a, b] = [this.#values[first]!, this.#values[second]!];
    if (Object.is(a, b)) return;
    const { source } = this.#options;
    throw new BadInputError(
      `${source}:${this.#lines[second]}:1: found the value ${formatG(b)} for ${labels.toMetricString()} at ${this.#times[second]! / 1000}, ` +
        `expected ${formatG(a)} as in line ${this.#lines[first]}, or another time`,
    );
  }
}
