import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { INDEX_FILENAME } from '#/tsdb/block-meta.ts';

const HOUR_MS = 3_600_000;
/** Time ranges of blocks by level; the first stands for whatever comes in. */
export const COMPACTION_RANGES = [1, 2, 8, 48, 336].map((hours) => hours * HOUR_MS);

/** The share of tombstones from which a large block is written anew by itself. */
const TOMBSTONE_RATIO = 0.05;
/** What is left of the limit on an index, because a merged one may be larger than the sum. */
const INDEX_HEADROOM = 0.85;

export interface PlanInput {
  /** The blocks of one group, by min time. */
  readonly blocks: readonly BlockMeta[];
  /** ULIDs of blocks that must not be compacted. */
  readonly noCompact: ReadonlySet<string>;
  /** Default: 1 h, 2 h, 8 h, 2 d, 14 d. */
  readonly ranges?: readonly number[];
  /** Half-open times that coarser blocks of the stream have data of. */
  readonly coarser?: readonly TimeSpan[];
}

export type TimeSpan = Pick<BlockMeta, 'minTime' | 'maxTime'>;

/**
 * The blocks of a group that should become one next, by min time; none when the group is done.
 *
 * 1. Blocks that overlap, the first set of them.
 * 2. All blocks of an aligned time range that is full or over. The newest block stays out, so that
 *    there is time to look at what has just come in.
 * 3. A large block with many tombstones.
 *
 * Nothing is merged across a hole that a coarser block has data of, as when retention took a block and
 * its neighbours are still to be downsampled: what would be made of the merged block would hide them.
 *
 * Source: `tsdbBasedPlanner` in pkg/compact/planner.go of Thanos.
 */
export function planCompaction({
  blocks,
  noCompact,
  ranges = COMPACTION_RANGES,
  coarser = [],
}: PlanInput): readonly BlockMeta[] {
  if (blocks.length === 0) return [];
  const overlapping = firstOverlap(blocks.filter(({ ulid }) => !noCompact.has(ulid)));
  if (overlapping.length > 0) return overlapping;
  const settled = blocks.slice(0, -1);
  const inRange = planRanges(settled, { noCompact, ranges, coarser });
  if (inRange.length > 0) return inRange;
  const rewritten = manyTombstones(
    settled.filter(({ ulid }) => !noCompact.has(ulid)),
    ranges[Math.floor(ranges.length / 2)] ?? 0,
  );
  return rewritten === undefined ? [] : [rewritten];
}

/** A block that must be marked before the plan holds. */
export interface PlannedMark {
  readonly block: BlockMeta;
  readonly reason: 'index-size-exceeding' | 'downsample-vertical-compaction';
  readonly details: string;
}

export interface GuardedPlan {
  readonly plan: readonly BlockMeta[];
  /** Blocks to mark as not to be compacted; the plan is made without them. */
  readonly marks: readonly PlannedMark[];
}

/**
 * A plan whose merged index cannot become too large, and that merges no downsampled blocks that
 * overlap.
 */
export async function planGuarded(
  input: PlanInput,
  limits: {
    readonly maxIndexBytes: number;
    /** Asked for blocks whose meta does not say how large the index is. */
    readonly indexBytes: (block: BlockMeta) => Promise<number>;
  },
): Promise<GuardedPlan> {
  const marks: PlannedMark[] = [];
  const noCompact = new Set(input.noCompact);
  for (;;) {
    const plan = planCompaction({ ...input, noCompact });
    const large = await tooLarge(plan, limits);
    const added = large === undefined ? downsampledOverlaps(plan) : [large];
    if (added.length === 0) return { plan, marks };
    marks.push(...added);
    for (const { block } of added) noCompact.add(block.ulid);
  }
}

/** The first blocks in a row of which each begins before one ahead of it ends; input by min time. */
export function firstOverlap(blocks: readonly BlockMeta[]): readonly BlockMeta[] {
  let maxTime = Number.NEGATIVE_INFINITY;
  let start = -1;
  for (const [i, block] of blocks.entries()) {
    if (block.minTime < maxTime) {
      if (start < 0) start = i - 1;
    } else if (start >= 0) return blocks.slice(start, i);
    maxTime = Math.max(maxTime, block.maxTime);
  }
  return start < 0 ? [] : blocks.slice(start);
}

function planRanges(
  blocks: readonly BlockMeta[],
  { noCompact, ranges, coarser }: Required<Omit<PlanInput, 'blocks'>>,
): readonly BlockMeta[] {
  const newest = blocks.at(-1);
  if (newest === undefined) return [];
  for (const range of ranges.slice(1)) {
    for (const window of alignedWindows(blocks, range)) {
      if (window.some(({ compaction }) => compaction.failed)) continue;
      const isFull = window.at(-1)!.maxTime - window[0]!.minTime === range;
      const isOver = window.at(-1)!.maxTime <= newest.minTime;
      if (window.length < 2 || (!isFull && !isOver)) continue;
      const plan = firstRun(window, noCompact, coarser);
      if (plan.length > 0) return plan;
    }
  }
  return [];
}

/** Blocks by the aligned time range that they lie in; those that lie in none are left out. */
function alignedWindows(blocks: readonly BlockMeta[], range: number): BlockMeta[][] {
  const windows: BlockMeta[][] = [];
  for (let i = 0; i < blocks.length;) {
    const end = range * Math.floor(blocks[i]!.minTime / range) + range;
    const window: BlockMeta[] = [];
    while (i < blocks.length && blocks[i]!.maxTime <= end) window.push(blocks[i++]!);
    if (window.length > 0) windows.push(window);
    else i++;
  }
  return windows;
}

/** The first two or more in a row that may be compacted: around others, no gap comes to be. */
function firstRun(
  window: readonly BlockMeta[],
  noCompact: ReadonlySet<string>,
  coarser: readonly TimeSpan[],
): readonly BlockMeta[] {
  let start = 0;
  for (const [i, block] of window.entries()) {
    const isOut = noCompact.has(block.ulid);
    const isApart = i > start && hasDataBetween(coarser, window[i - 1]!, block);
    if (!isOut && !isApart) continue;
    if (i - start > 1) return window.slice(start, i);
    start = isOut ? i + 1 : i;
  }
  return window.length - start > 1 ? window.slice(start) : [];
}

function hasDataBetween(spans: readonly TimeSpan[], before: TimeSpan, after: TimeSpan): boolean {
  if (before.maxTime >= after.minTime) return false;
  return spans.some((span) => span.minTime < after.minTime && span.maxTime > before.maxTime);
}

/** From the newest back, as long as blocks are large. */
function manyTombstones(blocks: readonly BlockMeta[], large: number): BlockMeta | undefined {
  for (const block of blocks.toReversed()) {
    if (block.maxTime - block.minTime < large) return undefined;
    const { numTombstones, numSeries } = block.stats;
    if (numTombstones / (numSeries + 1) > TOMBSTONE_RATIO) return block;
  }
  return undefined;
}

/** The block with the largest index, if the indexes of the plan may be too much together. */
async function tooLarge(
  plan: readonly BlockMeta[],
  limits: Parameters<typeof planGuarded>[1],
): Promise<PlannedMark | undefined> {
  const limit = Math.floor(limits.maxIndexBytes * INDEX_HEADROOM);
  let total = 0;
  let largest: { readonly block: BlockMeta; readonly bytes: number } | undefined;
  for (const block of plan) {
    const stated = block.thanos?.files.find(({ relPath }) => relPath === INDEX_FILENAME);
    const known = stated?.sizeBytes ?? 0;
    const bytes = known > 0 ? known : await limits.indexBytes(block);
    if (largest === undefined || bytes > largest.bytes) largest = { block, bytes };
    total += bytes;
    if (total < limit) continue;
    return {
      block: largest.block,
      reason: 'index-size-exceeding',
      details: `the index of a block compacted with this one could exceed ${limits.maxIndexBytes} bytes`,
    };
  }
  return undefined;
}

function downsampledOverlaps(plan: readonly BlockMeta[]): PlannedMark[] {
  if (firstOverlap(plan).length === 0) return [];
  return plan
    .filter(({ thanos }) => (thanos?.downsample.resolution ?? 0) !== 0)
    .map((block) => ({
      block,
      reason: 'downsample-vertical-compaction',
      details: 'a downsampled block that overlaps another cannot be merged with it',
    }));
}
