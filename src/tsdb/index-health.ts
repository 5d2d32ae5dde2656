import type { BlockMeta } from './block-meta.ts';
import { placeOf } from './chunk-segment.ts';
import type { IndexReader, SeriesEntry } from './index.ts';

/** What a walk over an index finds. Chunks are judged by their place in the index, not by their bytes. */
export interface IndexHealth {
  readonly series: number;
  readonly chunks: number;
  /** Series with chunks that begin before the one ahead ends, and how many chunks those are. */
  readonly outOfOrderSeries: number;
  readonly outOfOrderChunks: number;
  /** Chunks of the very time range of the one ahead: harmless copies. */
  readonly duplicatedChunks: number;
  /** Chunks that pass the time range of the block, and those of them that have no part in it. */
  readonly outsideChunks: number;
  readonly completeOutsideChunks: number;
  /** Those of the outside chunks that begin right where the block ends (issue 347 of Prometheus's tsdb). */
  readonly issue347Chunks: number;
  /** Series whose labels are not in order, from a Prometheus before 2.8.1. */
  readonly outOfOrderLabels: number;
  /** Distance from one entry or chunk to the next, at most; 0 when there are not enough to tell. */
  readonly seriesMaxBytes: number;
  readonly chunkMaxBytes: number;
  /** The first thing that breaks the format altogether: no labels, no chunks, series out of order. */
  readonly broken: string | undefined;
}

/** How bad a block is, worst first; `undefined` when nothing is wrong that matters. */
export type HealthIssue =
  | { readonly kind: 'broken'; readonly message: string }
  | { readonly kind: 'outside'; readonly message: string }
  | { readonly kind: 'out-of-order-chunks'; readonly message: string }
  | { readonly kind: 'issue347'; readonly message: string }
  | { readonly kind: 'out-of-order-labels'; readonly message: string };

/**
 * Walks over all series of an index.
 * @throws CorruptionError if an entry cannot be read.
 * Source: GatherIndexHealthStats in pkg/block/index.go of Thanos.
 */
export async function indexHealth(
  index: IndexReader,
  range: Pick<BlockMeta, 'minTime' | 'maxTime'>,
  signal?: AbortSignal,
): Promise<IndexHealth> {
  const walk = new Walk(index, range);
  await index.forEachSeries(
    await index.allPostings(signal),
    (entry, id) => walk.visit(entry, id),
    signal,
  );
  return walk.health;
}

/** All issues, worst first. */
export function healthIssues(health: IndexHealth): HealthIssue[] {
  const issues: HealthIssue[] = [];
  if (health.broken !== undefined) issues.push({ kind: 'broken', message: health.broken });
  const { outsideChunks, completeOutsideChunks, issue347Chunks } = health;
  const partly = outsideChunks - completeOutsideChunks - issue347Chunks;
  const outside = [
    ...(partly > 0 ? [`found ${partly} chunks non-completely outside the block time range`] : []),
    ...(completeOutsideChunks > 0
      ? [`found ${completeOutsideChunks} chunks completely outside the block time range`]
      : []),
  ];
  if (outside.length > 0) issues.push({ kind: 'outside', message: outside.join(', ') });
  if (health.outOfOrderChunks > 0) {
    const average = (health.outOfOrderChunks / health.outOfOrderSeries).toFixed(3);
    const exact = (health.duplicatedChunks / health.outOfOrderChunks).toFixed(3);
    issues.push({
      kind: 'out-of-order-chunks',
      message:
        `${health.outOfOrderSeries}/${health.series} series have an average of ${average} out-of-order ` +
        `chunks: ${exact} of these are exact duplicates (in terms of data and time range)`,
    });
  }
  if (issue347Chunks > 0) {
    issues.push({
      kind: 'issue347',
      message: `found ${issue347Chunks} chunks outside the block time range introduced by https://github.com/prometheus/tsdb/issues/347`,
    });
  }
  if (health.outOfOrderLabels > 0) {
    issues.push({
      kind: 'out-of-order-labels',
      message: `index contains ${health.outOfOrderLabels} postings with out of order labels`,
    });
  }
  return issues;
}

class Walk {
  readonly #index: IndexReader;
  readonly #minTime: number;
  readonly #maxTime: number;
  #found = { ...healthy };
  #lastFlat: readonly number[] = [];
  #lastOffset = -1;

  constructor(index: IndexReader, range: Pick<BlockMeta, 'minTime' | 'maxTime'>) {
    this.#index = index;
    this.#minTime = range.minTime;
    this.#maxTime = range.maxTime;
  }

  get health(): IndexHealth {
    return this.#found;
  }

  visit(entry: SeriesEntry, id: number): void {
    const found = this.#found;
    found.series++;
    found.chunks += entry.chunkCount;
    const offset = this.#index.offsetOf(id);
    if (this.#lastOffset >= 0) {
      found.seriesMaxBytes = Math.max(found.seriesMaxBytes, offset - this.#lastOffset);
    }
    this.#lastOffset = offset;
    this.#visitLabels(entry, id);
    if (entry.chunkCount === 0) this.#break(`empty chunks for series ${id}`);
    this.#visitChunks(entry);
  }

  /** Symbols are numbered in the order of their texts, so numbers are compared. */
  #visitLabels(entry: SeriesEntry, id: number): void {
    const flat = entry.symbols.slice(0, 2 * entry.labelCount);
    if (flat.length === 0) this.#break(`empty label set detected for series ${id}`);
    for (let i = 2; i < flat.length; i += 2) {
      if (flat[i]! < flat[i - 2]!) {
        this.#found.outOfOrderLabels++;
        break;
      }
    }
    if (this.#lastFlat.length > 0 && compareNumbers(this.#lastFlat, flat) >= 0) {
      this.#break(`series ${this.#index.labelsOf(entry).toString()} out of order`);
    }
    this.#lastFlat = flat;
  }

  #visitChunks({ mints, maxts, refs, chunkCount }: SeriesEntry): void {
    const found = this.#found;
    let outOfOrder = 0;
    for (let i = 0; i < chunkCount; i++) {
      const mint = mints[i]!;
      const maxt = maxts[i]!;
      if (i < chunkCount - 2) this.#measure(refs[i]!, refs[i + 1]!);
      if (mint < this.#minTime || maxt > this.#maxTime) {
        found.outsideChunks++;
        if (mint > this.#maxTime || maxt < this.#minTime) found.completeOutsideChunks++;
        else if (mint === this.#maxTime) found.issue347Chunks++;
      }
      if (i === 0 || mint > maxts[i - 1]!) continue;
      if (mint === mints[i - 1] && maxt === maxts[i - 1]) found.duplicatedChunks++;
      else outOfOrder++;
    }
    if (outOfOrder > 0) found.outOfOrderSeries++;
    found.outOfOrderChunks += outOfOrder;
  }

  #measure(ref: number, next: number): void {
    const from = placeOf(ref);
    const to = placeOf(next);
    if (from.segment !== to.segment) return;
    this.#found.chunkMaxBytes = Math.max(this.#found.chunkMaxBytes, to.offset - from.offset);
  }

  #break(what: string): void {
    this.#found.broken ??= what;
  }
}

const healthy = {
  series: 0,
  chunks: 0,
  outOfOrderSeries: 0,
  outOfOrderChunks: 0,
  duplicatedChunks: 0,
  outsideChunks: 0,
  completeOutsideChunks: 0,
  issue347Chunks: 0,
  outOfOrderLabels: 0,
  seriesMaxBytes: 0,
  chunkMaxBytes: 0,
  broken: undefined as string | undefined,
};

function compareNumbers(a: readonly number[], b: readonly number[]): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
