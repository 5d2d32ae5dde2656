import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { byMinTime } from './grouper.ts';
import type { Group } from './grouper.ts';
import { mergedIdentity } from './merged-meta.ts';
import { planCompaction } from './planner.ts';
import type { PlanInput } from './planner.ts';

/** What is left to be done. */
export interface Backlog {
  readonly compactions: number;
  readonly blocks: number;
  /** The latest time that a block waiting to be compacted ends at, subtracted from now: its age. */
  readonly oldestMs: number | undefined;
}

/** Plays the compactions of a group through, without guards, until it is done. */
export function groupBacklog(group: Group, rules: Omit<PlanInput, 'blocks'>): Backlog {
  let compactions = 0;
  let blocks = 0;
  let oldestMs: number | undefined;
  for (const { plan } of playThrough(group, rules)) {
    compactions++;
    blocks += plan.length;
    const end = plan.at(-1)!.maxTime;
    oldestMs = Math.min(oldestMs ?? end, end);
  }
  return { compactions, blocks, oldestMs };
}

/** What each block of the group is going to be part of when all planned compactions are done. */
export function finalBlocks(
  group: Group,
  rules: Omit<PlanInput, 'blocks'>,
): ReadonlyMap<string, BlockMeta> {
  const merges = new Map<BlockMeta, BlockMeta>();
  for (const { plan, merged } of playThrough(group, rules)) {
    for (const block of plan) merges.set(block, merged);
  }
  const endOf = (block: BlockMeta): BlockMeta => {
    const merged = merges.get(block);
    return merged === undefined ? block : endOf(merged);
  };
  return new Map(group.blocks.map((block) => [block.ulid, endOf(block)]));
}

/** The compactions of a group in their order, each with what it would make. */
function* playThrough(
  group: Group,
  rules: Omit<PlanInput, 'blocks'>,
): Generator<{ readonly plan: readonly BlockMeta[]; readonly merged: BlockMeta }> {
  let left: readonly BlockMeta[] = group.blocks;
  while (left.length > 1) {
    const plan = planCompaction({ ...rules, blocks: left });
    if (plan.length === 0) return;
    const planned = new Set(plan);
    const merged = mergedMeta(plan);
    yield { plan, merged };
    // A block that is written anew by itself has no tombstones left, and would be planned for ever.
    if (plan.length === 1) return;
    left = [...left.filter((block) => !planned.has(block)), merged].sort(byMinTime);
  }
}

function mergedMeta(plan: readonly BlockMeta[]): BlockMeta {
  const first = plan[0]!;
  return { ...first, ...mergedIdentity(first.ulid, plan, first.thanos!), version: 1 };
}
