import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import { matchesAll } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import type { Queryable, Series } from './queryable.ts';
import { SampleBuffer } from './sample-buffer.ts';

/** Series in memory: what tests load their samples into. */
export class MemoryQueryable implements Queryable {
  readonly #series = new Map<string, MemorySeries>();

  /** The samples of a series, to append to in time order; created empty at first. */
  samples(labels: Labels): SampleBuffer {
    let series = this.#series.get(labels.key);
    if (series === undefined) {
      series = new MemorySeries(labels);
      this.#series.set(labels.key, series);
    }
    return series.samples;
  }

  /** Every series with its samples, in the order of their first appearance. */
  all(): Iterable<{ readonly labels: Labels; readonly samples: SampleBuffer }> {
    return this.#series.values();
  }

  select({ matchers, mint, maxt }: { matchers: readonly Matcher[]; mint: number; maxt: number }) {
    return Promise.resolve({ series: this.#matching(matchers, mint, maxt), warnings: [] });
  }

  labelNames({ matchers, mint, maxt, limit }: LabelLookup) {
    const found = this.#matching(matchers, mint, maxt);
    return Promise.resolve(
      namesResult(
        found.flatMap((series) => Array.from(series.labels, (label) => label.name)),
        limit,
      ),
    );
  }

  labelValues(name: string, { matchers, mint, maxt, limit }: LabelLookup) {
    const found = this.#matching(matchers, mint, maxt);
    const values = found.map((series) => series.labels.get(name)).filter((value) => value !== '');
    return Promise.resolve(namesResult(values, limit));
  }

  #matching(matchers: readonly Matcher[], mint: number, maxt: number): MemorySeries[] {
    return [...this.#series.values()]
      .filter((series) => matchesAll(matchers, series.labels) && series.overlaps(mint, maxt))
      .sort((a, b) => compareLabels(a.labels, b.labels));
  }
}

interface LabelLookup {
  readonly matchers: readonly Matcher[];
  readonly mint: number;
  readonly maxt: number;
  readonly limit: number;
}

class MemorySeries implements Series {
  readonly labels: Labels;
  readonly samples = new SampleBuffer(16);

  constructor(labels: Labels) {
    this.labels = labels;
  }

  overlaps(mint: number, maxt: number): boolean {
    const { times, length } = this.samples;
    return length > 0 && times[0]! <= maxt && times[length - 1]! >= mint;
  }

  read(mint: number, maxt: number, into: SampleBuffer): void {
    for (let i = 0; i < this.samples.length; i++) {
      const time = this.samples.times[i]!;
      if (time >= mint && time <= maxt) into.pushFrom(this.samples, i);
    }
  }
}

function namesResult(names: readonly string[], limit: number) {
  const sorted = [...new Set(names)].sort(compareUtf8);
  return { names: limit > 0 ? sorted.slice(0, limit) : sorted, warnings: [] };
}
