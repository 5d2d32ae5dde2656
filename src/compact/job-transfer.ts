import { join } from 'node:path';
import { uploadBlock } from '#/blocks/upload-block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { checkDiskNeed, diskNeed, fetchInputs } from './fetch-inputs.ts';
import type { Phase } from './group-board.ts';
import type { JobContext } from './job-context.ts';
import type { Lease } from './lease.ts';

/** What a job has of its own, whatever it makes. */
export interface RunningJob {
  /** Inputs are in directories of their ULIDs below it, and so is the result. */
  readonly directory: string;
  readonly lease: Lease;
  /** Aborts with the lease, too. */
  readonly signal: AbortSignal;
  readonly onPhase: (phase: Phase, fraction?: number) => void;
}

/**
 * Downloads the inputs of a job.
 * @throws LimitError before the first byte if the job would not fit on the disk.
 */
export async function downloadInputs(
  blocks: readonly BlockMeta[],
  { directory, signal, onPhase }: RunningJob,
  { bucket, disk, options }: JobContext,
): Promise<void> {
  onPhase('downloading');
  checkDiskNeed(await diskNeed({ disk, bucket, blocks, directory, signal }), directory);
  await fetchInputs({
    disk,
    bucket,
    blocks,
    directory,
    blockConcurrency: options.blockConcurrency,
    fileConcurrency: options.fileConcurrency,
    signal,
    onFraction: (fraction) => onPhase('downloading', fraction),
  });
}

/** Uploads what a job has made; right before others can see it the lease is confirmed. */
export async function uploadResult(
  ulid: string,
  { directory, lease, signal, onPhase }: RunningJob,
  { bucket, disk, clock, options }: JobContext,
): Promise<void> {
  onPhase('uploading');
  await uploadBlock({
    disk,
    clock,
    bucket,
    directory: join(directory, ulid),
    hashFunction: options.hashFunction,
    concurrency: options.fileConcurrency,
    mayLink: true,
    confirm: () => lease.confirm(signal),
    onFraction: (fraction) => onPhase('uploading', fraction),
    signal,
  });
}
