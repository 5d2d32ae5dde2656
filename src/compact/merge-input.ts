import { CorruptionError } from '#/lib/errors.ts';
import type { Block } from '#/tsdb/block.ts';
import type { BlockScan } from '#/tsdb/block-scan.ts';
import type { SymbolTable } from '#/tsdb/index.ts';
import type { LabelSymbols } from '#/tsdb/index-writer.ts';

/** Labels in the making; less than all others while the length is -1. */
interface OwnLabels {
  symbols: number[];
  length: number;
}

/** A block that is merged with others, series by series. */
export class MergeInput {
  readonly scan: BlockScan;
  /** Where the block's time ends. */
  readonly blockEnd: number;
  /** The same for all blocks of one replica. */
  readonly replica: number;
  readonly #block: Block;
  readonly #symbols: SymbolTable;
  /** By the symbols of the block, those of all. */
  readonly #numbers: Uint32Array;
  /** The number of the empty text there, or -1. */
  readonly #empty: number;
  #labels: OwnLabels = { symbols: [], length: -1 };
  #lastLabels: OwnLabels = { symbols: [], length: -1 };

  constructor(block: Block, scan: BlockScan, numbers: Uint32Array, replica: number) {
    this.scan = scan;
    this.blockEnd = block.meta.maxTime;
    this.replica = replica;
    this.#block = block;
    this.#symbols = block.index.symbols;
    this.#numbers = numbers;
    this.#empty = this.#symbols.hasEmpty ? 0 : -1;
  }

  /** Of the series at hand, as numbers of merged symbols, without those that are empty. */
  get labels(): LabelSymbols {
    return this.#labels;
  }

  /**
   * To the next series if it is at hand; else `load()` goes there.
   * @throws CorruptionError if it does not come after the last.
   */
  next(): boolean {
    if (!this.scan.next()) return false;
    this.#arrive();
    return true;
  }

  /** Reads the next series and goes there; `false` at the end. */
  async load(): Promise<boolean> {
    if (!(await this.scan.load())) return false;
    this.#arrive();
    return true;
  }

  #arrive(): void {
    const last = this.#labels;
    this.#labels = this.#lastLabels;
    this.#lastLabels = last;
    this.#translate();
    if (compareSymbols(last, this.#labels) < 0) return;
    const labels = this.#block.index.labelsOf(this.scan.entry).toString();
    throw new CorruptionError(
      `block ${this.#block.meta.ulid}: series ${labels} of the index is out of order`,
    );
  }

  #translate(): void {
    const { symbols, labelCount } = this.scan.entry;
    const labels = this.#labels;
    labels.length = 0;
    for (let i = 0; i < 2 * labelCount; i += 2) {
      const value = this.#symbols.numberOf(symbols[i + 1]!);
      if (value === this.#empty) continue;
      labels.symbols[labels.length++] = this.#numbers[this.#symbols.numberOf(symbols[i]!)]!;
      labels.symbols[labels.length++] = this.#numbers[value]!;
    }
  }
}

/** As their texts compare, since symbols are numbered in the order of their texts. */
export function compareSymbols(a: LabelSymbols, b: LabelSymbols): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = a.symbols[i]! - b.symbols[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
