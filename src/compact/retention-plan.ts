import { Labels } from '#/model/labels.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { appliedDeletions } from '#/tsdb/block-rewrites.ts';
import type { BucketSnapshot } from './bucket-view.ts';
import { downsampleStep, resolutionOf } from './downsample-plan.ts';
import type { DownsampleAges } from './downsample-plan.ts';
import { groupBlocks, streamOf } from './grouper.ts';
import type { Group } from './grouper.ts';
import { COMPACTION_RANGES } from './planner.ts';
import { finalBlocks } from './progress.ts';
import { seriesClasses } from './retention-rules.ts';
import type { RetentionRule, Retentions, SeriesClass } from './retention-rules.ts';
import { mayBeMissed } from './unreadable.ts';

export type { Retentions } from './retention-rules.ts';

export interface RetentionInput {
  readonly blocks: Pick<
    BucketSnapshot,
    'metas' | 'noCompact' | 'noDownsample' | 'deletionMarks' | 'unreadable'
  >;
  /** For series that no rule selects. */
  readonly retentions: Retentions;
  /** The first that selects a series counts. */
  readonly rules?: readonly RetentionRule[];
  /** `undefined` while nobody downsamples: then nothing is waited for. */
  readonly ages: DownsampleAges | undefined;
  /** Default: Thanos's levels. */
  readonly ranges?: readonly number[];
  readonly nowMs: number;
}

export interface RetentionPlan {
  /** To be marked for deletion, finer resolutions first. */
  readonly expired: readonly BlockMeta[];
  /** All or some series are past their retention, but a coarser block that is still wanted has yet to be made of them. */
  readonly held: readonly BlockMeta[];
  /** Some series are past their retention, if the block has such, and others stay. */
  readonly due: readonly DueRewrite[];
}

export interface DueRewrite {
  readonly block: BlockMeta;
  /** Those that are past their retention and of which the block does not say that it has none. */
  readonly classes: readonly SeriesClass[];
}

/** How long the end of compactions is waited for before a block is rewritten that these will take up. */
const SETTLING_MS = 48 * 3_600_000;

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
 * With rules, all of this is said of each class of series. A block whose classes are all past goes; one of
 * which some are is due to be rewritten without them: once compactions have settled, for a merged block
 * would have to be rewritten anew, but at the latest two days after that.
 *
 * With what a block that cannot be read may have, it might be made of it as well: then it stays, too.
 *
 * So no order of queues, and no queue that is behind, lets a resolution lose what another was to
 * give it; and what nothing will be made of goes when its own time is over.
 */
export function planRetention(input: RetentionInput): RetentionPlan {
  const { metas, deletionMarks } = input.blocks;
  const groups = groupBlocks(metas.values());
  const covered = coveredSources(aliveOf(input));
  const expired: BlockMeta[] = [];
  const held: BlockMeta[] = [];
  const due: DueRewrite[] = [];
  /** By stream, what the resolution before is still to be downsampled from. */
  const pending = new Map<string, readonly BlockMeta[]>();
  for (const group of groups.toSorted((a, b) => a.resolutionMs - b.resolutionMs)) {
    const alive = group.blocks.filter(({ ulid }) => !deletionMarks.has(ulid));
    const stream = streamOf(group);
    const isToBeMade = expectation(group, pending.get(stream) ?? [], input);
    const { rules = [], retentions } = input;
    const classes = seriesClasses(rules, retentions, Labels.fromObject(group.labels));
    const isSettled = settlement(group, input);
    for (const block of alive) {
      const past = classes.filter((one) => isPast(block, group.resolutionMs, one, input));
      if (past.length === 0) continue;
      const mayBeMade = isToBeMade(block) || mayBeMissed(block, input.blocks.unreadable);
      const ready = past.filter((one) => !isMissing(block, covered, one, input) || !mayBeMade);
      if (ready.length === classes.length) {
        expired.push(block);
        continue;
      }
      if (ready.length < past.length) held.push(block);
      const applied = appliedDeletions(block);
      const unapplied = ready.filter(({ id }) => !applied.has(id));
      if (unapplied.some((one) => isSettled(block, one))) due.push({ block, classes: unapplied });
    }
    const next = input.ages && downsampleStep(group.resolutionMs, input.ages);
    const made = next && covered.get(next.toMs);
    pending.set(
      stream,
      alive.filter((block) => !isCovered(block, made) && isToBeMade(block)),
    );
  }
  return { expired, held, due };
}

/**
 * For whose sake each of some blocks is to be downsampled: the classes of which a coarser resolution wants
 * series, and has them from nobody.
 */
export function classesThatWant(
  blocks: readonly BlockMeta[],
  input: RetentionInput,
): ReadonlyMap<BlockMeta, { readonly wanting: readonly SeriesClass[]; readonly isAll: boolean }> {
  const { rules = [], retentions } = input;
  const covered = coveredSources(aliveOf(input));
  return new Map(
    blocks.map((block) => {
      const labels = Labels.fromObject(block.thanos?.labels ?? {});
      const classes = seriesClasses(rules, retentions, labels);
      const wanting = classes.filter((one) => isMissing(block, covered, one, input));
      return [block, { wanting, isAll: wanting.length === classes.length }];
    }),
  );
}

function aliveOf({ blocks }: RetentionInput): readonly BlockMeta[] {
  return [...blocks.metas.values()].filter(({ ulid }) => !blocks.deletionMarks.has(ulid));
}

/** Whether series of a class in a block would be past the retention of some resolution. */
function isPast(
  block: BlockMeta,
  resolutionMs: number,
  { retentions }: SeriesClass,
  { nowMs }: RetentionInput,
): boolean {
  const endMs = endOfRetention(block, resolutionMs, retentions);
  return endMs !== undefined && endMs < nowMs;
}

/** `undefined` for never. */
function endOfRetention(
  { maxTime }: BlockMeta,
  resolutionMs: number,
  retentions: Retentions,
): number | undefined {
  const retentionMs = retentions.get(resolutionMs) ?? 0;
  return retentionMs > 0 ? Math.floor(maxTime / 1000) * 1000 + retentionMs : undefined;
}

const COARSER_THAN_RAW = [Resolution.FiveMinutes, Resolution.OneHour];

/** Whether a coarser resolution wants a class of the block's series and has them from nobody. */
function isMissing(
  block: BlockMeta,
  covered: ReadonlyMap<number, ReadonlySet<string>>,
  of: SeriesClass,
  input: RetentionInput,
): boolean {
  if (input.ages === undefined) return false;
  const coarser = COARSER_THAN_RAW.filter((resolutionMs) => resolutionMs > resolutionOf(block));
  const present = coarser.filter((resolutionMs) => isCovered(block, covered.get(resolutionMs)));
  return coarser.some((wanted) => {
    return (
      !isPast(block, wanted, of, input) && !present.some((resolutionMs) => resolutionMs <= wanted)
    );
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

/** Tells whether a block of the group stays as it is, or has been waited for long enough. */
function settlement(
  group: Group,
  { blocks, ranges = COMPACTION_RANGES, rules = [], nowMs }: RetentionInput,
): (block: BlockMeta, of: SeriesClass) => boolean {
  if (rules.length === 0) return () => true;
  const ends = finalBlocks(group, { noCompact: blocks.noCompact, ranges });
  return (block, { retentions }) => {
    const dueMs = endOfRetention(block, group.resolutionMs, retentions) ?? nowMs;
    return (ends.get(block.ulid) ?? block) === block || nowMs >= dueMs + SETTLING_MS;
  };
}
