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
  let left: readonly BlockMeta[] = group.blocks;
  while (left.length > 1) {
    const plan = planCompaction({ ...rules, blocks: left });
    if (plan.length === 0) break;
    compactions++;
    blocks += plan.length;
    const end = plan.at(-1)!.maxTime;
    oldestMs = Math.min(oldestMs ?? end, end);
    // A block that is written anew by itself has no tombstones left, and would be planned for ever.
    if (plan.length === 1) break;
    const planned = new Set(plan);
    const merged = mergedMeta(plan);
    left = [...left.filter((block) => !planned.has(block)), merged].sort(byMinTime);
  }
  return { compactions, blocks, oldestMs };
}

function mergedMeta(plan: readonly BlockMeta[]): BlockMeta {
  const first = plan[0]!;
  return { ...first, ...mergedIdentity(first.ulid, plan, first.thanos!), version: 1 };
}
