import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { byMinTime } from './grouper.ts';
import type { Group } from './grouper.ts';
import { mergedIdentity } from './merged-meta.ts';
import { planCompaction } from './planner.ts';
import type { PlanInput } from './planner.ts';

/** What is left to be done in a group. */
export interface Backlog {
  readonly jobs: number;
  /** Blocks that go into these jobs; what one makes and another takes up counts again. */
  readonly blocks: number;
  /** The sizes of those blocks together. */
  readonly bytes: number;
  /** When the data of the job that could be done for longest end; `undefined` without jobs. */
  readonly oldestMs: number | undefined;
  /** Disk that the largest of the jobs takes: its blocks, and a block as large as all of them. */
  readonly neededDiskBytes: number;
}

export const noBacklog: Backlog = {
  jobs: 0,
  blocks: 0,
  bytes: 0,
  oldestMs: undefined,
  neededDiskBytes: 0,
};

/** Plays the compactions of a group through, without guards, until it is done. */
export function groupBacklog(group: Group, rules: Omit<PlanInput, 'blocks' | 'coarser'>): Backlog {
  const sizes = new Map<BlockMeta, number>();
  let backlog = noBacklog;
  for (const { plan, merged } of playThrough(group, rules)) {
    const bytes = sum(plan.map((block) => sizes.get(block) ?? blockBytes(block)));
    sizes.set(merged, bytes);
    backlog = addJob(backlog, plan, bytes);
  }
  return backlog;
}

/** What one job is to do with blocks as they are. */
export function jobBacklog(blocks: readonly BlockMeta[]): Backlog {
  return addJob(noBacklog, blocks, sum(blocks.map(blockBytes)));
}

export function addBacklogs(all: readonly Backlog[]): Backlog {
  const oldest = all.map(({ oldestMs }) => oldestMs).filter((ms) => ms !== undefined);
  return {
    jobs: sum(all.map(({ jobs }) => jobs)),
    blocks: sum(all.map(({ blocks }) => blocks)),
    bytes: sum(all.map(({ bytes }) => bytes)),
    oldestMs: oldest.length === 0 ? undefined : oldest.reduce((a, b) => Math.min(a, b)),
    neededDiskBytes: all.reduce((most, one) => Math.max(most, one.neededDiskBytes), 0),
  };
}

/** Where a meta does not say how large its files are, what samples usually take. */
const BYTES_PER_SAMPLE = 2;

/** What the files of a block take, by its meta. */
export function blockBytes({ thanos, stats }: BlockMeta): number {
  const stated = sum((thanos?.files ?? []).map(({ sizeBytes }) => sizeBytes));
  return stated > 0 ? stated : stats.numSamples * BYTES_PER_SAMPLE;
}

function addJob(to: Backlog, plan: readonly BlockMeta[], bytes: number): Backlog {
  const end = plan.reduce((latest, { maxTime }) => Math.max(latest, maxTime), -Infinity);
  return {
    jobs: to.jobs + 1,
    blocks: to.blocks + plan.length,
    bytes: to.bytes + bytes,
    oldestMs: Math.min(to.oldestMs ?? end, end),
    neededDiskBytes: Math.max(to.neededDiskBytes, 2 * bytes),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** What each block of the group is going to be part of when all planned compactions are done. */
export function finalBlocks(
  group: Group,
  rules: Omit<PlanInput, 'blocks' | 'coarser'>,
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
  rules: Omit<PlanInput, 'blocks' | 'coarser'>,
): Generator<{ readonly plan: readonly BlockMeta[]; readonly merged: BlockMeta }> {
  let left: readonly BlockMeta[] = group.blocks;
  while (left.length > 1) {
    const plan = planCompaction({ ...rules, blocks: left, coarser: group.coarser });
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
