import type { Mark } from '#/blocks/markers.ts';
import { isUlid, ulidTimeMs } from '#/lib/ulid.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BucketSnapshot } from './bucket-view.ts';
import { resolutionOf } from './downsample-plan.ts';
import { GroupFault } from './group-fault.ts';

/**
 * What a block whose `meta.json` says nothing forbids. It may belong to any group, so its absence must
 * not be taken for that of its data: nothing is merged around a hole that it may fill, nothing is
 * deleted whose successor it may be, or that it may yet be compacted with. All else goes on.
 */

/** By how much the clock of whoever made a block may be wrong, and how long a job may take. */
const MARGIN_MS = 24 * 3_600_000;

/** How to give such a block up. */
export function giveUpCommand(id: string): string {
  return `hindsight tools bucket mark --id=${id} --marker=deletion-mark.json --details='meta.json cannot be read' --objstore.config-file=<file>`;
}

/** @throws GroupFault if the plan leaves a hole that an unreadable block may have the data of. */
export function checkHoles(
  plan: readonly BlockMeta[],
  unreadable: BucketSnapshot['unreadable'],
): void {
  const hole = unreadable.size === 0 ? undefined : firstHole(plan);
  if (hole === undefined) return;
  const suspects = [...unreadable.keys()].filter((id) => mayHaveDataFrom(id, hole.fromMs));
  const [first] = suspects;
  if (first === undefined) return;
  const range = `${new Date(hole.fromMs).toISOString()} to ${new Date(hole.toMs).toISOString()}`;
  throw new GroupFault(
    'unreadable-block',
    `the blocks to be merged have no data from ${range}, which ${suspects.join(', ')} may have: ${unreadable.get(first)!.message}; bring back what meta.json said, or give up the block`,
    { blocks: suspects, command: suspects.map(giveUpCommand).join('\n') },
  );
}

/** Whether an unreadable block may be one that a block would still be compacted with. */
export function mayBeMissed(block: BlockMeta, unreadable: BucketSnapshot['unreadable']): boolean {
  return unreadable.keys().some((id) => mayHaveDataFrom(id, block.minTime));
}

const SUCCESSOR_DETAILS = /^(source of |outdated block)/;

/**
 * Whether a block that is to be deleted because of its successor has to wait, since that cannot be
 * seen and an unreadable block may be it. Blocks that were marked for other reasons do not wait.
 */
export function waitsForSuccessor(
  id: string,
  mark: Mark,
  { unreadable, all, deletionMarks }: BucketSnapshot,
): boolean {
  if (unreadable.size === 0 || !SUCCESSOR_DETAILS.test(mark.details)) return false;
  const madeMs = isUlid(id) ? ulidTimeMs(id) : Number.NEGATIVE_INFINITY;
  if (!unreadable.keys().some((other) => mayHaveDataFrom(other, madeMs))) return false;
  const block = all.get(id);
  const sources = block?.compaction.sources ?? [id];
  return !all.values().some((other) => {
    if (other.ulid === id || deletionMarks.has(other.ulid)) return false;
    if (block !== undefined && resolutionOf(other) !== resolutionOf(block)) return false;
    return sources.every((source) => other.compaction.sources.includes(source));
  });
}

/** A block is made after its data, and after the blocks that it was made of. */
function mayHaveDataFrom(id: string, fromMs: number): boolean {
  return !isUlid(id) || ulidTimeMs(id) + MARGIN_MS > fromMs;
}

/** By min time, as plans are. */
function firstHole(
  plan: readonly BlockMeta[],
): { readonly fromMs: number; readonly toMs: number } | undefined {
  let maxTime = plan[0]?.minTime ?? 0;
  for (const block of plan) {
    if (block.minTime > maxTime) return { fromMs: maxTime, toMs: block.minTime };
    maxTime = Math.max(maxTime, block.maxTime);
  }
  return undefined;
}
