import { join } from 'node:path';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { markBlock } from '#/blocks/markers.ts';
import type { Disk } from '#/lib/disk.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Block } from '#/tsdb/block.ts';
import type { BlockMeta, ThanosMeta } from '#/tsdb/block-meta.ts';
import { commonRewrites } from '#/tsdb/block-rewrites.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import { completeBlock, wrongResult } from './complete-block.ts';
import type { Phase } from './group-board.ts';
import { GroupFault, noCompactCommand, readable } from './group-fault.ts';
import { byMinTime } from './grouper.ts';
import type { Group } from './grouper.ts';
import type { JobContext } from './job-context.ts';
import { openJobDirectory } from './job-directory.ts';
import { downloadInputs, uploadResult } from './job-transfer.ts';
import type { Lease } from './lease.ts';
import { mergedIdentity } from './merged-meta.ts';
import { firstOverlap } from './planner.ts';

export interface CompactionJob {
  readonly group: Group;
  readonly plan: readonly BlockMeta[];
  readonly lease: Lease;
  readonly signal: AbortSignal;
  readonly onPhase: (phase: Phase, fraction?: number) => void;
}

/** What came of a job: a new block; nothing, all being empty; or a block left out from now on. */
export type CompactionOutcome =
  | { readonly kind: 'compacted'; readonly meta: BlockMeta }
  | { readonly kind: 'empty' }
  | { readonly kind: 'marked'; readonly block: string };

/** What keeps all jobs that replace blocks of a group apart. */
export function compactionLease({ key }: Pick<Group, 'key'>): string {
  return `compact/${key}`;
}

/**
 * Makes one block of the planned ones, uploads it, and only when it is whole in the bucket marks the
 * planned ones for deletion. It may end anywhere: before its `meta.json` is uploaded the new block is
 * not there, afterwards its ancestors are duplicates, which whoever looks next marks.
 * @throws GroupFault for what trying again does not mend; anything else may be tried again.
 */
export async function runCompaction(
  job: CompactionJob,
  context: JobContext,
): Promise<CompactionOutcome> {
  const { group, plan, lease, onPhase } = job;
  const { disk, clock, options } = context;
  const signal = AbortSignal.any([job.signal, lease.signal]);
  checkSources(plan, options.verticalCompaction);
  const directory = join(options.dataDirectory, 'compact', group.key);
  const ids = plan.map(({ ulid }) => ulid);
  const ulid = await openJobDirectory(disk, directory, ids, {
    nowMs: clock.now(),
    newId: () => newUlid(clock.now(), context.random),
  });
  const running = { directory, lease, signal, onPhase };
  await downloadInputs(plan, running, context);
  for (const [i, meta] of plan.entries()) {
    onPhase('checking', i / plan.length);
    const marked = await checkInput(meta, join(directory, meta.ulid), context, signal);
    if (marked) return { kind: 'marked', block: meta.ulid };
  }
  onPhase('merging');
  const merged = await merge(job, directory, ulid, context, signal);
  if (merged === undefined) {
    await markEmpty(plan, context, lease, signal);
    await disk.remove(directory);
    return { kind: 'empty' };
  }
  await uploadResult(ulid, running, context);
  onPhase('marking');
  await lease.confirm(signal);
  for (const id of ids) await markForDeletion(id, 'source of compacted block', context, signal);
  await disk.remove(directory);
  return { kind: 'compacted', meta: merged };
}

/**
 * Whether blocks of a group overlap that may not.
 * @throws GroupFault that names them.
 */
export function checkOverlaps(group: Group): void {
  const overlapping = firstOverlap(group.blocks);
  if (overlapping.length === 0) return;
  const ranges = overlapping.map(describeBlock).join(', ');
  const ids = overlapping.map(({ ulid }) => ulid);
  throw new GroupFault(
    'overlap',
    `blocks of ${group.name} overlap: ${ranges}; if they are replicas, give --deduplication.replica-label, ` +
      'else take out all but one, or allow merging with --compact.enable-vertical-compaction',
    { blocks: ids, command: noCompactCommand(ids.slice(1), 'overlaps another block') },
  );
}

export async function markForDeletion(
  id: string,
  details: string,
  { bucket, clock, metrics, log }: Pick<JobContext, 'bucket' | 'clock' | 'log' | 'metrics'>,
  signal: AbortSignal,
): Promise<void> {
  const marked = await markBlock(bucket, id, { kind: 'deletion', details, clock, signal });
  if (!marked) return;
  metrics.blocksMarked.inc({ marker: 'deletion-mark.json', reason: '' });
  metrics.garbageCollected.inc();
  log.info('block marked for deletion', { block: id, details });
}

/** The same ancestor twice means samples twice, unless the merge takes equal ones for one. */
function checkSources(plan: readonly BlockMeta[], vertical: boolean): void {
  if (vertical) return;
  const ownerOf = new Map<string, string>();
  for (const { ulid, compaction } of plan) {
    for (const source of compaction.sources) {
      const other = ownerOf.get(source);
      if (other !== undefined) {
        throw new GroupFault(
          'shared-sources',
          `blocks ${other} and ${ulid} both have the data of ${source}; one of them should be deleted`,
          { blocks: [other, ulid], command: noCompactCommand([ulid], `has data of ${source} too`) },
        );
      }
      ownerOf.set(source, ulid);
    }
  }
}

/** Whether the block was marked as not to be compacted instead. */
async function checkInput(
  meta: BlockMeta,
  directory: string,
  context: JobContext,
  signal: AbortSignal,
): Promise<boolean> {
  const { disk, options, bucket, clock, metrics, log } = context;
  const { index } = await readable(meta, () => Block.open(disk, directory, signal));
  const health = await readable(meta, () => indexHealth(index, meta, signal));
  const [issue, next] = healthIssues(health);
  // Chunks right behind a block's end are copies of the next block's first: they are left out.
  const serious = issue?.kind === 'issue347' ? next : issue;
  if (serious === undefined) return false;
  const message = `block ${describeBlock(meta)} cannot be compacted: ${serious.message}`;
  if (serious.kind === 'out-of-order-chunks' && options.skipOutOfOrderChunks) {
    log.warn('block is left out of compactions', { block: meta.ulid, reason: serious.message });
    const reason = 'block-index-out-of-order-chunk';
    const details = `OutofOrderChunk: marking block with out-of-order series/chunks to as no compact to unblock compaction`;
    await markBlock(bucket, meta.ulid, { kind: 'no-compact', reason, details, clock, signal });
    metrics.blocksMarked.inc({ marker: 'no-compact-mark.json', reason });
    return true;
  }
  throw new GroupFault('unhealthy-block', message, {
    blocks: [meta.ulid],
    command: noCompactCommand([meta.ulid], serious.kind),
  });
}

/** The new block, checked and with its whole meta; `undefined` if nothing is left of the inputs. */
async function merge(
  { group, plan, onPhase }: CompactionJob,
  directory: string,
  ulid: string,
  { work, disk, options, log }: JobContext,
  signal: AbortSignal,
): Promise<BlockMeta | undefined> {
  const inputs = plan.map((meta) => join(directory, meta.ulid));
  const identity = mergedIdentity(ulid, plan, thanosOf(group, plan));
  const { meta, samplesRead, samplesDropped } = await readable(plan, () =>
    work.merge({ inputs, identity, algorithm: options.algorithm, directory }, signal, (fraction) =>
      onPhase('merging', fraction),
    ),
  );
  const stated = plan.reduce((sum, { stats }) => sum + stats.numSamples, 0);
  if (samplesRead < stated) {
    throw wrongResult(
      `only ${samplesRead} samples are in blocks whose meta.json files say ${stated}`,
      plan.map((input) => input.ulid),
    );
  }
  if (meta === undefined) {
    await checkDeleted(plan, inputs, samplesRead, disk, signal);
    return undefined;
  }
  if (samplesDropped > 0) {
    log.info('samples of deleted ranges and copies are left out', {
      block: ulid,
      samples: samplesDropped,
      of: samplesRead,
    });
  }
  const completed = await completeBlock(disk, join(directory, ulid), plan, signal);
  if (!options.verticalCompaction) checkResultOverlap(completed, group, plan);
  return completed;
}

/** That nothing is left of samples is right only if somebody deleted them. */
async function checkDeleted(
  plan: readonly BlockMeta[],
  inputs: readonly string[],
  samplesRead: number,
  disk: Disk,
  signal: AbortSignal,
): Promise<void> {
  if (samplesRead === 0) return;
  for (const input of inputs) {
    if ((await Block.open(disk, input, signal)).tombstones.size > 0) return;
  }
  const ids = plan.map(({ ulid }) => ulid);
  throw wrongResult(`nothing is left of the ${samplesRead} samples of ${ids.join(', ')}`, ids);
}

function thanosOf(
  { labels, resolutionMs, extensions }: Group,
  plan: readonly BlockMeta[],
): ThanosMeta {
  return {
    ...emptyThanosMeta,
    labels,
    downsample: { resolution: resolutionMs },
    source: 'compactor',
    rewrites: commonRewrites(plan),
    ...(extensions === undefined ? {} : { extensions }),
  };
}

function checkResultOverlap(made: BlockMeta, group: Group, plan: readonly BlockMeta[]): void {
  const inputs = new Set(plan);
  const others = group.blocks.filter((block) => !inputs.has(block));
  const overlapping = firstOverlap([...others, made].sort(byMinTime));
  if (overlapping.length === 0) return;
  const ids = plan.map(({ ulid }) => ulid);
  throw wrongResult(
    `a block of ${ids.join(', ')} would overlap others of its group: ${overlapping.map(describeBlock).join(', ')}`,
    ids,
  );
}

/** Nothing can be read of them any more: they have no samples, or all of those were deleted. */
async function markEmpty(
  plan: readonly BlockMeta[],
  context: JobContext,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> {
  await lease.confirm(signal);
  for (const { ulid } of plan) await markForDeletion(ulid, 'empty block', context, signal);
}

export function describeBlock({ ulid, minTime, maxTime }: BlockMeta): string {
  return `${ulid} [${new Date(minTime).toISOString()}, ${new Date(maxTime).toISOString()})`;
}
