import { Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BucketSnapshot } from './bucket-view.ts';
import { downsampleStep, resolutionOf } from './downsample-plan.ts';
import type { DownsampleAges } from './downsample-plan.ts';
import { groupBlocks } from './grouper.ts';
import type { Group } from './grouper.ts';
import { COMPACTION_RANGES } from './planner.ts';
import { finalBlocks } from './progress.ts';

/** How long data are kept, by the resolution in milliseconds; for ever where nothing is said, or 0. */
export type Retentions = ReadonlyMap<number, number>;

export interface RetentionInput {
  readonly blocks: Pick<BucketSnapshot, 'metas' | 'noCompact' | 'noDownsample' | 'deletionMarks'>;
  readonly retentions: Retentions;
  /** `undefined` while nobody downsamples: then nothing is waited for. */
  readonly ages: DownsampleAges | undefined;
  /** Default: Thanos's levels. */
  readonly ranges?: readonly number[];
  readonly nowMs: number;
}

export interface RetentionPlan {
  /** To be marked for deletion, finer resolutions first. */
  readonly expired: readonly BlockMeta[];
  /** Past their retention, but a coarser block that is still wanted has yet to be made of them. */
  readonly held: readonly BlockMeta[];
}

/**
 * Which blocks have passed their retention: `maxTime`, in whole seconds, and the retention of their
 * resolution lie before now. Blocks that are marked for deletion already are in neither list.
 *
 * A block that has passed it is held, and stays, as long as all of this is true:
 *
 * - Blocks are downsampled, and there is a coarser resolution.
 * - A coarser resolution still wants the data: its own retention has not passed for them.
 * - They are not there: no blocks of that resolution, or of one between, have all sources of the
 *   block. Whole ones count that are not marked for deletion.
 * - They are to be made of it. The block spans the time that downsampling asks for and has no mark
 *   against that; or compaction will merge it into one that does, because that is planned, or because
 *   its time window can still fill. A window counts as open until as much time again has passed, and
 *   until what is to be downsampled of that time is.
 *
 * So no order of queues, and no queue that is behind, lets a resolution lose what another was to
 * give it; and what nothing will be made of goes when its own time is over.
 */
export function planRetention(input: RetentionInput): RetentionPlan {
  const { metas, deletionMarks } = input.blocks;
  const groups = groupBlocks(metas.values());
  const covered = coveredSources(
    [...metas.values()].filter(({ ulid }) => !deletionMarks.has(ulid)),
  );
  const expired: BlockMeta[] = [];
  const held: BlockMeta[] = [];
  /** By stream, what the resolution before is still to be downsampled from. */
  const pending = new Map<string, readonly BlockMeta[]>();
  for (const group of groups.toSorted((a, b) => a.resolutionMs - b.resolutionMs)) {
    const alive = group.blocks.filter(({ ulid }) => !deletionMarks.has(ulid));
    const stream = group.key.slice(group.key.indexOf('@'));
    const isToBeMade = expectation(group, pending.get(stream) ?? [], input);
    for (const block of alive) {
      if (!isPast(block, group.resolutionMs, input)) continue;
      if (isMissing(block, covered, input) && isToBeMade(block)) held.push(block);
      else expired.push(block);
    }
    const next = input.ages && downsampleStep(group.resolutionMs, input.ages);
    const made = next && covered.get(next.toMs);
    pending.set(
      stream,
      alive.filter((block) => !isCovered(block, made) && isToBeMade(block)),
    );
  }
  return { expired, held };
}

/** Whether the data of a block would be past the retention of some resolution. */
function isPast(block: BlockMeta, resolutionMs: number, { retentions, nowMs }: RetentionInput) {
  const retentionMs = retentions.get(resolutionMs) ?? 0;
  return retentionMs > 0 && Math.floor(block.maxTime / 1000) * 1000 + retentionMs < nowMs;
}

const COARSER_THAN_RAW = [Resolution.FiveMinutes, Resolution.OneHour];

/** Whether a coarser resolution wants the block's data and has them from nobody. */
function isMissing(
  block: BlockMeta,
  covered: ReadonlyMap<number, ReadonlySet<string>>,
  input: RetentionInput,
): boolean {
  if (input.ages === undefined) return false;
  const coarser = COARSER_THAN_RAW.filter((resolutionMs) => resolutionMs > resolutionOf(block));
  const present = coarser.filter((resolutionMs) => isCovered(block, covered.get(resolutionMs)));
  return coarser.some((wanted) => {
    return !isPast(block, wanted, input) && !present.some((resolutionMs) => resolutionMs <= wanted);
  });
}

function isCovered({ compaction }: BlockMeta, sources: ReadonlySet<string> | undefined): boolean {
  return compaction.sources.every((source) => sources?.has(source) === true);
}

function coveredSources(blocks: readonly BlockMeta[]): Map<number, Set<string>> {
  const covered = new Map<number, Set<string>>();
  for (const block of blocks) {
    const sources = covered.getOrInsertComputed(resolutionOf(block), () => new Set<string>());
    for (const source of block.compaction.sources) sources.add(source);
  }
  return covered;
}

/** Tells of a group's blocks whether one of the next resolution is still to be made of them. */
function expectation(
  group: Group,
  pending: readonly BlockMeta[],
  input: RetentionInput,
): (block: BlockMeta) => boolean {
  const { blocks, ages, ranges = COMPACTION_RANGES, nowMs } = input;
  const step = ages && downsampleStep(group.resolutionMs, ages);
  if (step === undefined) return () => false;
  const { noCompact, noDownsample } = blocks;
  const ends = finalBlocks(group, { noCompact, ranges });
  const window = ranges.find((range) => range >= step.ageMs);
  return (block) => {
    const final = ends.get(block.ulid) ?? block;
    if (
      final.maxTime - final.minTime >= step.ageMs &&
      (final !== block || !noDownsample.has(block.ulid))
    ) {
      return true;
    }
    if (window === undefined || noCompact.has(block.ulid)) return false;
    const start = Math.floor(block.minTime / window) * window;
    const fits = block.maxTime <= start + window && block.maxTime - block.minTime < step.ageMs;
    if (!fits) return false;
    // A window is compacted when there are blocks behind it.
    const end = start + 2 * window;
    return nowMs < end || pending.some(({ minTime, maxTime }) => minTime < end && maxTime > start);
  };
}
