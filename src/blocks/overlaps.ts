import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { groupKey } from './filters.ts';

/** A range of time that several blocks of one group cover. */
export interface Overlap {
  /** Milliseconds; `[mint, maxt)` is as long as the same blocks cover it. */
  readonly mint: number;
  readonly maxt: number;
  /** Two or more, by the beginning of their time. */
  readonly blocks: readonly BlockMeta[];
}

/** All overlaps among the blocks, group by group in the order of time. */
export function findOverlaps(metas: readonly BlockMeta[]): Overlap[] {
  return [...Map.groupBy(metas, groupKey).values()].flatMap(overlapsIn);
}

/** Goes from one beginning or end of a block to the next; who is there in between overlaps. */
function overlapsIn(metas: readonly BlockMeta[]): Overlap[] {
  const sorted = metas.toSorted((a, b) => a.minTime - b.minTime || (a.ulid < b.ulid ? -1 : 1));
  const edges = [...new Set(sorted.flatMap(({ minTime, maxTime }) => [minTime, maxTime]))];
  edges.sort((a, b) => a - b);
  const overlaps: Overlap[] = [];
  let active: BlockMeta[] = [];
  let next = 0;
  for (const [i, mint] of edges.entries()) {
    active = active.filter(({ maxTime }) => maxTime > mint);
    while (next < sorted.length && sorted[next]!.minTime <= mint) active.push(sorted[next++]!);
    const maxt = edges[i + 1];
    if (maxt !== undefined && active.length > 1) {
      overlaps.push({ mint, maxt, blocks: [...active] });
    }
  }
  return overlaps;
}

/**
 * Sets of blocks that the same compaction made more than once: equal in time, level, sources and
 * stats. The first of each set, by ULID, is to be kept.
 */
export function findDuplicates(metas: readonly BlockMeta[]): BlockMeta[][] {
  const sets = Map.groupBy(metas, (meta) => {
    const { minTime, maxTime, compaction, stats } = meta;
    const { level, sources } = compaction;
    return JSON.stringify([groupKey(meta), minTime, maxTime, level, sources, stats]);
  });
  return [...sets.values()]
    .filter((set) => set.length > 1)
    .map((set) => set.toSorted((a, b) => (a.ulid < b.ulid ? -1 : 1)));
}
