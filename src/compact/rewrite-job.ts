import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { markBlock, readMark } from '#/blocks/markers.ts';
import type { Mark, MarkKind } from '#/blocks/markers.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { rewriteEntry, successorId } from '#/tsdb/block-rewrites.ts';
import type { BlockIdentity } from '#/tsdb/block-writer.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import { compileDeletion, deletionWithin, plainDeletion } from '#/tsdb/series-deletion.ts';
import type { PlainDeletion } from '#/tsdb/series-deletion.ts';
import { describeBlock, markForDeletion } from './compaction-job.ts';
import { completeBlock, wrongResult } from './complete-block.ts';
import { resolutionOf } from './downsample-plan.ts';
import type { Phase } from './group-board.ts';
import { GroupFault, readable } from './group-fault.ts';
import type { JobContext } from './job-context.ts';
import { openJobDirectory } from './job-directory.ts';
import { downloadInputs, uploadResult } from './job-transfer.ts';
import type { Lease } from './lease.ts';
import type { RewriteResult } from './rewrite-block.ts';

/** Why blocks are rewritten; a label of metrics, and the directory of the jobs. */
export type RewriteReason = 'retention' | 'deletion';

export interface RewriteJob {
  readonly block: BlockMeta;
  /** Of series as users see them, external labels included; the block says of those with an `id` that they are done. */
  readonly deletions: readonly PlainDeletion[];
  readonly reason: RewriteReason;
}

/** What came of a job. */
export type RewriteOutcome =
  /** The block has nothing that is to go. */
  | { readonly kind: 'unchanged' }
  /** Another compactor was there before: the block is marked for deletion, or gone. */
  | { readonly kind: 'superseded' }
  /** Nothing would be left: the block is marked for deletion, without a successor. */
  | { readonly kind: 'empty'; readonly seriesDropped: number; readonly samplesDropped: number }
  | {
      readonly kind: 'rewritten';
      readonly meta: BlockMeta;
      readonly seriesDropped: number;
      readonly samplesDropped: number;
    };

/** The name of the job's directory: the same only for the same deletions. */
export function rewriteKey({ block, deletions }: RewriteJob): string {
  const hash = createHash('sha256').update(JSON.stringify(deletions)).digest('hex').slice(0, 16);
  return `${block.ulid}-${hash}`;
}

/** Below the data directory: where the jobs of a reason have their directories. */
export function rewriteRoot(dataDirectory: string, reason: RewriteReason): string {
  return join(dataDirectory, 'rewrite', reason);
}

/**
 * Replaces a block by one without the samples that the deletions select. The new one has the old
 * one's sources and an earlier ULID, by which every reader takes it for the block and the old one for its
 * duplicate, from the moment its `meta.json` is there (see ARCHITECTURE.md). So the job may end
 * anywhere: before that moment the new block is not there, afterwards whoever looks next marks the old one.
 * The lease must be that of compactions of the block's group (`compactionLease`).
 * @throws GroupFault for what trying again does not mend; anything else may be tried again.
 */
export async function runRewriting(
  job: RewriteJob & {
    readonly lease: Lease;
    readonly signal: AbortSignal;
    readonly onPhase: (phase: Phase, fraction?: number) => void;
  },
  context: JobContext,
): Promise<RewriteOutcome> {
  const { block, lease, reason, onPhase } = job;
  const { disk, clock, options, bucket, random, log } = context;
  const signal = AbortSignal.any([job.signal, lease.signal]);
  const directory = join(rewriteRoot(options.dataDirectory, reason), rewriteKey(job));
  if ((await readableMark(bucket, block.ulid, 'deletion', signal)) !== undefined) {
    await disk.remove(directory);
    return { kind: 'superseded' };
  }
  const ulid = await openJobDirectory(disk, directory, [block.ulid], {
    nowMs: clock.now(),
    newId: () => successorId(block.ulid, random),
  });
  const running = { directory, lease, signal, onPhase };
  await downloadInputs([block], running, context);
  onPhase('checking');
  const input = join(directory, block.ulid);
  const { meta } = await openHealthy(block, input, context, signal);
  onPhase('rewriting');
  const result = await rewrite(job, { meta, directory, ulid }, context, signal);
  const { kind, seriesDropped, samplesDropped } = result;
  if (kind === 'unchanged') {
    await disk.remove(directory);
    return { kind };
  }
  if (kind === 'rewritten') {
    await completeBlock(disk, join(directory, ulid), [block], signal);
    await copyMarks(block.ulid, ulid, context, signal);
    await uploadResult(ulid, running, context);
  }
  onPhase('marking');
  await lease.confirm(signal);
  const details = kind === 'empty' ? `nothing left after ${reason}` : 'source of rewritten block';
  await markForDeletion(block.ulid, details, context, signal);
  await disk.remove(directory);
  const into = result.meta?.ulid ?? '';
  const dropped = { series: seriesDropped, samples: samplesDropped };
  log.info('block rewritten', { block: block.ulid, into, reason, ...dropped });
  if (result.meta === undefined) return { kind: 'empty', seriesDropped, samplesDropped };
  return { kind: 'rewritten', meta: result.meta, seriesDropped, samplesDropped };
}

/** Who a block is that takes the place of another: it in everything but for what was rewritten. */
export function successorIdentity(ulid: string, of: BlockMeta, entry: unknown): BlockIdentity {
  const { minTime, maxTime, compaction, thanos } = of;
  return {
    ulid,
    minTime,
    maxTime,
    compaction: { ...compaction, parents: [{ ulid: of.ulid, minTime, maxTime }] },
    ...(thanos === undefined
      ? {}
      : {
          thanos: {
            ...thanos,
            // Readers let its blocks in at once; others may have to wait while their source is on its way out.
            source: 'compactor',
            rewrites: [...thanos.rewrites, entry],
            files: [],
            indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
            uploadTime: '',
          },
        }),
  };
}

async function openHealthy(
  block: BlockMeta,
  directory: string,
  { disk }: JobContext,
  signal: AbortSignal,
): Promise<Block> {
  const opened = await readable(block, () => Block.open(disk, directory, signal));
  const health = await readable(block, () => indexHealth(opened.index, block, signal));
  const issue = healthIssues(health)[0];
  if (issue === undefined) return opened;
  throw new GroupFault(
    'unhealthy-block',
    `block ${describeBlock(block)} cannot be rewritten: ${issue.message}`,
    {
      blocks: [block.ulid],
      command: `hindsight tools bucket verify --repair --id=${block.ulid} --objstore.config-file=<file> --objstore-backup.config-file=<file>`,
    },
  );
}

async function rewrite(
  { block, deletions }: RewriteJob,
  { meta, directory, ulid }: { meta: BlockMeta; directory: string; ulid: string },
  { work }: JobContext,
  signal: AbortSignal,
): Promise<RewriteResult> {
  const external = Labels.fromObject(meta.thanos?.labels ?? {});
  const resolutionMs = resolutionOf(meta);
  const within = deletions
    .map((deletion) => deletionWithin(compileDeletion(deletion), external, resolutionMs))
    .filter((deletion) => deletion !== undefined);
  const result = await readable(block, () =>
    work.rewrite(
      {
        input: join(directory, meta.ulid),
        identity: successorIdentity(ulid, meta, rewriteEntry(meta, deletions)),
        edits: { relabeling: [], deletions: within.map(plainDeletion) },
        directory,
      },
      signal,
    ),
  );
  const { samplesRead } = result;
  if (result.kind !== 'unchanged' && samplesRead < meta.stats.numSamples) {
    throw wrongResult(
      `only ${samplesRead} samples are in block ${block.ulid}, whose meta.json says ${meta.stats.numSamples}`,
      [block.ulid],
    );
  }
  return result;
}

/** Marks that keep the block from being worked on hold for its successor, which nobody sees yet. */
export async function copyMarks(
  from: string,
  to: string,
  { bucket, clock }: Pick<JobContext, 'bucket' | 'clock'>,
  signal: AbortSignal,
): Promise<void> {
  for (const kind of ['no-compact', 'no-downsample'] as const) {
    const mark = await readableMark(bucket, from, kind, signal);
    if (mark === undefined) continue;
    const { reason, details } = mark;
    await markBlock(bucket, to, { kind, reason, details, clock, signal });
  }
}

/** A mark that cannot be read counts as none, as everywhere. */
async function readableMark(
  bucket: Bucket,
  id: string,
  kind: MarkKind,
  signal: AbortSignal,
): Promise<Mark | undefined> {
  try {
    return await readMark(bucket, id, kind, signal);
  } catch (thrown) {
    if (thrown instanceof CorruptionError) return undefined;
    throw thrown;
  }
}
