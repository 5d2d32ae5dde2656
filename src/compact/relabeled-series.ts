import { compareUtf8 } from '#/lib/utf8.ts';
import { Labels } from '#/model/labels.ts';
import type { Relabeling } from '#/model/relabel.ts';
import type { Block, BlockSeries } from '#/tsdb/block.ts';

/** Series that are read at once. */
const BATCH = 256;

/** What has the same labels after a relabeling: one series to be. */
export interface RelabeledGroup {
  readonly labels: Labels;
  /** At least one, in the order of the block; under their old labels. */
  readonly series: readonly BlockSeries[];
}

export interface RelabelReport {
  /** Told of every series that the relabeling drops, or leaves without labels. */
  readonly dropped: (series: BlockSeries) => void;
  readonly changed: (from: Labels, to: Labels) => void;
}

/**
 * The series of a block in the order of their labels after a relabeling, which may be any. Memory
 * holds each text once and four bytes per name and value of a series; chunks and entries are read when
 * their turn comes.
 */
export class RelabeledSeries {
  readonly #block: Block;
  /** Sorted by bytes. */
  readonly symbols: readonly string[];
  /** By new labels: their symbols, names and values in turn. */
  readonly #order: readonly Placed[];

  private constructor(block: Block, symbols: readonly string[], order: readonly Placed[]) {
    this.#block = block;
    this.symbols = symbols;
    this.#order = order;
  }

  static async read(
    block: Block,
    relabeling: Relabeling,
    report: RelabelReport,
    signal?: AbortSignal,
  ): Promise<RelabeledSeries> {
    const numbers = new Map<string, number>();
    const order: Placed[] = [];
    const { index } = block;
    const all = await index.allPostings(signal);
    await index.forEachSeries(
      all,
      (entry, id) => {
        const labels = index.labelsOf(entry);
        const relabeled = relabeling(labels);
        if (relabeled === undefined || relabeled.size === 0) {
          report.dropped({ labels, chunks: entry.chunksIn(-Infinity, Infinity), deleted: [] });
          return;
        }
        if (!relabeled.equals(labels)) report.changed(labels, relabeled);
        const symbols = relabeled.flat.map((text) =>
          numbers.getOrInsertComputed(text, () => numbers.size),
        );
        order.push({ id, symbols: Uint32Array.from(symbols) });
      },
      signal,
    );
    const symbols = [...numbers.keys()].sort(compareUtf8);
    const ranks = new Uint32Array(symbols.length);
    for (const [rank, text] of symbols.entries()) ranks[numbers.get(text)!] = rank;
    for (const placed of order) placed.symbols.forEach((n, i, of) => (of[i] = ranks[n]!));
    order.sort((a, b) => compareSymbols(a.symbols, b.symbols) || a.id - b.id);
    return new RelabeledSeries(block, symbols, order);
  }

  /** All series to be, by labels, a few hundred at a time. */
  async *batches(signal?: AbortSignal): AsyncGenerator<readonly RelabeledGroup[], void> {
    const order = this.#order;
    for (let start = 0; start < order.length;) {
      let end = Math.min(start + BATCH, order.length);
      while (end < order.length && isSame(order[end]!, order[end - 1]!)) end++;
      yield await this.#groups(order.slice(start, end), signal);
      start = end;
    }
  }

  async #groups(placed: readonly Placed[], signal: AbortSignal | undefined) {
    const found = await this.#read(Uint32Array.from(placed, ({ id }) => id).sort(), signal);
    const groups: { readonly labels: Labels; readonly series: BlockSeries[] }[] = [];
    for (const [i, one] of placed.entries()) {
      const series = found.get(one.id)!;
      const last = groups.at(-1);
      if (last !== undefined && isSame(one, placed[i - 1]!)) last.series.push(series);
      else {
        const flat = Array.from(one.symbols, (symbol) => this.symbols[symbol]!);
        groups.push({ labels: Labels.fromSortedFlat(flat), series: [series] });
      }
    }
    return groups;
  }

  async #read(ids: Uint32Array, signal: AbortSignal | undefined) {
    const found = new Map<number, BlockSeries>();
    const { index, tombstones } = this.#block;
    await index.forEachSeries(
      ids,
      (entry, id) => {
        const chunks = entry.chunksIn(-Infinity, Infinity);
        found.set(id, { labels: index.labelsOf(entry), chunks, deleted: tombstones.get(id) ?? [] });
      },
      signal,
    );
    return found;
  }
}

interface Placed {
  readonly id: number;
  readonly symbols: Uint32Array;
}

function isSame(a: Placed, b: Placed): boolean {
  return compareSymbols(a.symbols, b.symbols) === 0;
}

/** Symbols are in the order of their texts, so this is the order of labels. */
function compareSymbols(a: Uint32Array, b: Uint32Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
