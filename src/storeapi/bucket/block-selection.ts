import { Resolution } from '#/tsdb/block-meta.ts';

/** What the selection needs to know of a block. */
export interface SelectableBlock {
  /** Half-open range `[minTime, maxTime)` in milliseconds. */
  readonly minTime: number;
  readonly maxTime: number;
  readonly resolutionMs: number;
}

/** A block and the closed range that it is asked for, which may reach beyond the block. */
export interface SelectedBlock<Block> {
  readonly block: Block;
  readonly mint: number;
  readonly maxt: number;
}

/** Resolutions from coarse to fine, in milliseconds. */
export const RESOLUTIONS_MS: readonly number[] = [
  Resolution.OneHour,
  Resolution.FiveMinutes,
  Resolution.Raw,
];

/**
 * Chooses, from the blocks of one group of external labels, those that answer `[mint, maxt]`: the
 * coarsest resolution allowed wherever it has data, finer ones in its gaps, and where no allowed
 * resolution has data, the finest of the coarser ones: a coarse answer beats an empty one. Blocks of
 * one resolution that overlap are all chosen. `blocks` is sorted by min, then max time, and so is
 * the choice; every block is in it at most once, for the hull of what it is needed for.
 *
 * Up to the allowed resolution this is bucketBlockSet.getFor in pkg/store/bucket.go of Thanos, which
 * leaves the rest empty.
 */
export function selectBlocks<Block extends SelectableBlock>(
  blocks: readonly Block[],
  mint: number,
  maxt: number,
  maxResolutionMs: number,
): SelectedBlock<Block>[] {
  const allowed = RESOLUTIONS_MS.filter((resolution) => resolution <= maxResolutionMs);
  const coarser = RESOLUTIONS_MS.filter((resolution) => resolution > maxResolutionMs).reverse();
  const needed = new Map<Block, { mint: number; maxt: number }>();
  const need = (block: Block, from: number, to: number) => {
    const range = needed.get(block) ?? { mint: from, maxt: to };
    needed.set(block, { mint: Math.min(range.mint, from), maxt: Math.max(range.maxt, to) });
  };
  fill(blocks, mint, maxt, [...allowed, ...coarser], need);
  return blocks.flatMap((block) => {
    const range = needed.get(block);
    return range === undefined ? [] : [{ block, ...range }];
  });
}

/** Covers the closed range by blocks of the first resolution, and its gaps by those of the others. */
function fill<Block extends SelectableBlock>(
  blocks: readonly Block[],
  mint: number,
  maxt: number,
  [resolution, ...others]: readonly number[],
  need: (block: Block, mint: number, maxt: number) => void,
): void {
  if (mint > maxt || resolution === undefined) return;
  let start = mint;
  for (const block of blocks) {
    if (block.resolutionMs !== resolution || block.maxTime <= mint) continue;
    if (block.minTime > maxt) break;
    fill(blocks, start, block.minTime - 1, others, need);
    need(block, mint, maxt);
    start = Math.max(start, block.maxTime);
  }
  fill(blocks, start, maxt, others, need);
}
