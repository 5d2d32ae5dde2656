import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { downsampleBlock } from '#/downsample/downsample-block.ts';
import type { Disk } from '#/lib/disk.ts';
import { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockIdentity } from '#/tsdb/block-writer.ts';
import { mergeBlocks } from './merge-blocks.ts';
import type { MergeResult } from './merge-blocks.ts';
import { rewriteBlock } from './rewrite-block.ts';
import type { RewriteResult } from './rewrite-block.ts';
import type { SeriesEdits } from './series-edits.ts';

/** Blocks on the local disk to be merged into one; everything in it can go to another thread. */
export interface MergeWork {
  /** Directories of the blocks, by min time. */
  readonly inputs: readonly string[];
  readonly identity: BlockIdentity;
  readonly algorithm: DedupAlgorithm;
  /** Where the directory of the new block goes. */
  readonly directory: string;
}

/** A block on the local disk to be brought to a coarser resolution. */
export interface DownsampleWork {
  readonly input: string;
  readonly ulid: string;
  readonly toMs: number;
  readonly directory: string;
}

/** A block on the local disk whose series are to be edited. */
export interface RewriteWork {
  readonly input: string;
  readonly identity: BlockIdentity;
  readonly edits: SeriesEdits;
  readonly directory: string;
}

/** Told how much of the work is done, from 0 to 1. */
export type OnFraction = (fraction: number) => void;

/** The part of compaction that takes processor time: from local blocks to a local block. */
export interface BlockWork {
  merge(work: MergeWork, signal: AbortSignal, onFraction?: OnFraction): Promise<MergeResult>;
  downsample(
    work: DownsampleWork,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<BlockMeta>;
  rewrite(work: RewriteWork, signal: AbortSignal, onFraction?: OnFraction): Promise<RewriteResult>;
}

/** Does the work where it is called. */
export class LocalBlockWork implements BlockWork {
  readonly #disk: Disk;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  async merge(work: MergeWork, signal: AbortSignal, onFraction?: OnFraction): Promise<MergeResult> {
    const blocks: Block[] = [];
    for (const input of work.inputs) blocks.push(await Block.open(this.#disk, input, signal));
    const total = blocks.reduce((sum, { meta }) => sum + meta.stats.numSamples, 0);
    return mergeBlocks({
      blocks,
      identity: work.identity,
      algorithm: work.algorithm,
      disk: this.#disk,
      directory: work.directory,
      signal,
      onProgress: (samples) => onFraction?.(fractionOf(samples, total)),
    });
  }

  async downsample(
    work: DownsampleWork,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<BlockMeta> {
    const block = await Block.open(this.#disk, work.input, signal);
    const { numSeries } = block.meta.stats;
    return downsampleBlock({
      block,
      toMs: work.toMs,
      ulid: work.ulid,
      disk: this.#disk,
      directory: work.directory,
      signal,
      onProgress: (series) => onFraction?.(fractionOf(series, numSeries)),
    });
  }

  async rewrite(
    work: RewriteWork,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<RewriteResult> {
    const block = await Block.open(this.#disk, work.input, signal);
    const { numSeries } = block.meta.stats;
    return rewriteBlock({
      block,
      edits: work.edits,
      identity: work.identity,
      disk: this.#disk,
      directory: work.directory,
      signal,
      onProgress: (series) => onFraction?.(fractionOf(series, numSeries)),
    });
  }
}

function fractionOf(done: number, total: number): number {
  return total === 0 ? 1 : Math.min(1, done / total);
}
