import { join } from 'node:path';
import { newUlid } from '#/lib/ulid.ts';
import { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import { describeBlock } from './compaction-job.ts';
import { completeBlock } from './complete-block.ts';
import type { DownsampleJob } from './downsample-plan.ts';
import type { Phase } from './group-board.ts';
import { GroupFault, readable } from './group-fault.ts';
import type { JobContext } from './job-context.ts';
import { openJobDirectory } from './job-directory.ts';
import { downloadInputs, uploadResult } from './job-transfer.ts';
import type { Lease } from './lease.ts';

/** The name of the job, for leases and its directory. */
export function downsampleKey({ block, toMs }: DownsampleJob): string {
  return `${block.ulid}-${toMs}`;
}

/**
 * Makes a block of a coarser resolution of another one and uploads it. It may end anywhere: without
 * its `meta.json` the new block is not there, with it the old one is covered.
 * @throws GroupFault for what trying again does not mend; anything else may be tried again.
 */
export async function runDownsampling(
  job: DownsampleJob & {
    readonly lease: Lease;
    readonly signal: AbortSignal;
    readonly onPhase: (phase: Phase, fraction?: number) => void;
  },
  context: JobContext,
): Promise<BlockMeta> {
  const { block, toMs, lease, onPhase } = job;
  const { disk, clock, options, work } = context;
  const signal = AbortSignal.any([job.signal, lease.signal]);
  const directory = join(options.dataDirectory, 'downsample', downsampleKey(job));
  const ulid = await openJobDirectory(disk, directory, [block.ulid], {
    nowMs: clock.now(),
    newId: () => newUlid(clock.now(), context.random),
  });
  const running = { directory, lease, signal, onPhase };
  await downloadInputs([block], running, context);
  onPhase('checking');
  const input = join(directory, block.ulid);
  await checkHealth(block, input, context, signal);
  onPhase('downsampling');
  await readable(block, () =>
    work.downsample({ input, ulid, toMs, directory }, signal, (fraction) =>
      onPhase('downsampling', fraction),
    ),
  );
  const made = await completeBlock(disk, join(directory, ulid), [block], signal);
  await uploadResult(ulid, running, context);
  await disk.remove(directory);
  return made;
}

async function checkHealth(
  block: BlockMeta,
  directory: string,
  { disk }: JobContext,
  signal: AbortSignal,
): Promise<void> {
  const { index } = await readable(block, () => Block.open(disk, directory, signal));
  const health = await readable(block, () => indexHealth(index, block, signal));
  const issue = healthIssues(health)[0];
  if (issue === undefined) return;
  throw new GroupFault(
    'unhealthy-block',
    `block ${describeBlock(block)} cannot be downsampled: ${issue.message}`,
    {
      blocks: [block.ulid],
      command: `hindsight tools bucket mark --id=${block.ulid} --marker=no-downsample-mark.json --details='${issue.kind}' --objstore.config-file=<file>`,
    },
  );
}
