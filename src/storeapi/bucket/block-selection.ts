/** What the selection needs to know of a block. */
export interface SelectableBlock {
  /** Half-open range `[minTime, maxTime)` in milliseconds. */
  readonly minTime: number;
  readonly maxTime: number;
  readonly resolutionMs: number;
}

/** Resolutions from coarse to fine, in milliseconds. */
export const RESOLUTIONS_MS = [3_600_000, 300_000, 0];

/**
 * Chooses, from the blocks of one group of external labels, those that answer `[mint, maxt]`: the
 * coarsest resolution allowed wherever it has data, finer ones in its gaps. Blocks of one
 * resolution that overlap are all chosen. `blocks` is sorted by min, then max time.
 * Algorithm: bucketBlockSet.getFor in pkg/store/bucket.go of Thanos.
 */
export function selectBlocks<Block extends SelectableBlock>(
  blocks: readonly Block[],
  mint: number,
  maxt: number,
  maxResolutionMs: number,
): Block[] {
  const level = RESOLUTIONS_MS.findIndex((resolution) => resolution <= maxResolutionMs);
  return fill(blocks, mint, maxt, level);
}

function fill<Block extends SelectableBlock>(
  blocks: readonly Block[],
  mint: number,
  maxt: number,
  level: number,
): Block[] {
  if (mint > maxt || level >= RESOLUTIONS_MS.length) return [];
  const chosen: Block[] = [];
  let start = mint;
  for (const block of blocks) {
    if (block.resolutionMs !== RESOLUTIONS_MS[level]) continue;
    if (block.maxTime <= mint) continue;
    if (block.minTime > maxt) break;
    chosen.push(...fill(blocks, start, block.minTime - 1, level + 1), block);
    start = Math.max(start, block.maxTime);
  }
  chosen.push(...fill(blocks, start, maxt, level + 1));
  return chosen;
}
