import { join } from 'node:path';
import { deleteBlock, metaName } from '#/blocks/block-files.ts';
import { checkFiles, checkIndex } from '#/blocks/check-block.ts';
import { copyBlock } from '#/blocks/copy-block.ts';
import { markBlock } from '#/blocks/markers.ts';
import { findDuplicates } from '#/blocks/overlaps.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import { completeBlock } from '#/compact/complete-block.ts';
import { checkDiskNeed, diskNeed, fetchInputs } from '#/compact/fetch-inputs.ts';
import { openJobDirectory } from '#/compact/job-directory.ts';
import { repairBlock } from '#/compact/repair-block.ts';
import type { Dropped } from '#/compact/repair-block.ts';
import { CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import { newUlid } from '#/lib/ulid.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BucketTool } from './bucket-tool.ts';

export interface RepairOptions {
  /** Where blocks are copied to before they go. */
  readonly backup: Bucket;
  /** Blocks are marked for deletion, and a compactor deletes them after this time; 0: deleted at once. */
  readonly deleteDelayMs: number;
  /** Where blocks are worked on. */
  readonly directory: string;
}

const DETAILS = 'manual verify-repair';

/** Repairs what is found, block by block; what fails is written, and the others go on. */
export class Repairs {
  /** Issues that are no more. */
  count = 0;
  /** Blocks that are gone. */
  readonly removed = new Set<string>();
  readonly #options: RepairOptions;
  readonly #tool: BucketTool;

  constructor(options: RepairOptions, tool: BucketTool) {
    this.#options = options;
    this.#tool = tool;
  }

  async index(meta: BlockMeta, issues: number): Promise<void> {
    await this.#attempt(meta.ulid, 'index_known_issues', issues, async () => {
      const done = await repairIndex(meta, this.#options, this.#tool);
      this.removed.add(meta.ulid);
      return done;
    });
  }

  async duplicates(metas: readonly BlockMeta[], isAsked: (id: string) => boolean): Promise<void> {
    for (const duplicates of findDuplicates(metas)) {
      const [, second] = duplicates;
      if (!duplicates.slice(1).some(({ ulid }) => isAsked(ulid))) continue;
      await this.#attempt(second!.ulid, 'duplicated_compaction', 1, async () => {
        const { kept, removed } = await removeDuplicates(duplicates, this.#options, this.#tool);
        for (const id of removed) this.removed.add(id);
        return `kept ${kept} alone; copies of the others are in ${this.#options.backup.name}`;
      });
    }
  }

  async #attempt(
    id: string,
    kind: string,
    issues: number,
    work: () => Promise<string>,
  ): Promise<void> {
    const { signal, write, log } = this.#tool;
    try {
      write(`${id} ${kind}: ${await work()}\n`);
      this.count += issues;
    } catch (thrown) {
      signal.throwIfAborted();
      log.error('could not repair', { id, verifier: kind, err: thrown });
      write(`${id} ${kind}: not repaired: ${messageOf(thrown)}\n`);
    }
  }
}

/**
 * Repairs the index of a block: the repaired block gets into the bucket under an ULID of its own, the
 * original into the backup, and only then out of the bucket. An interrupted repair is gone on with.
 * Returns what was done, for people.
 * @throws CorruptionError or a fault if it cannot be repaired: then everything is as before.
 */
async function repairIndex(
  meta: BlockMeta,
  options: RepairOptions,
  tool: BucketTool,
): Promise<string> {
  const { disk, bucket, clock, random, signal } = tool;
  const directory = join(options.directory, meta.ulid);
  const ulid = await openJobDirectory(disk, directory, [meta.ulid], {
    nowMs: clock.now(),
    newId: () => newUlid(clock.now(), random),
  });
  const request = { disk, bucket, blocks: [meta], directory, signal };
  checkDiskNeed(await diskNeed(request), directory);
  await fetchInputs({ ...request, blockConcurrency: 1, fileConcurrency: 4 });
  const dropped = await repairBlock({ disk, directory, block: meta, ulid, signal });
  await completeBlock(disk, join(directory, ulid), [meta], signal);
  await backUp(meta, options.backup, tool);
  await uploadBlock({ disk, clock, bucket, directory: join(directory, ulid), signal });
  await removeSafely(meta, options, tool);
  await disk.remove(directory);
  return `repaired as ${ulid}: ${describe(dropped)}; the original is in ${options.backup.name}`;
}

/**
 * Removes all blocks of a set of duplicates but the first that has nothing wrong with its files and
 * index, each after a copy of it is in the backup. Returns the ULIDs of those that are gone.
 * @throws CorruptionError if none of them is whole: then nothing is removed.
 */
async function removeDuplicates(
  duplicates: readonly BlockMeta[],
  options: RepairOptions,
  tool: BucketTool,
): Promise<{ readonly kept: string; readonly removed: readonly string[] }> {
  const kept = await firstWhole(duplicates, tool);
  if (kept === undefined) {
    throw new CorruptionError('none of the duplicates is whole, so that one could be kept');
  }
  const removed = duplicates.filter((block) => block !== kept);
  for (const block of removed) {
    await backUp(block, options.backup, tool);
    await removeSafely(block, options, tool);
  }
  return { kept: kept.ulid, removed: removed.map(({ ulid }) => ulid) };
}

async function firstWhole(
  blocks: readonly BlockMeta[],
  { bucket, signal }: BucketTool,
): Promise<BlockMeta | undefined> {
  for (const block of blocks) {
    const issues = [
      ...(await checkFiles(bucket, block, signal)),
      ...(await checkIndex(bucket, block, signal)),
    ];
    if (issues.length === 0) return block;
  }
  return undefined;
}

/** An interrupted backup is gone on with. @throws CorruptionError if the backup has another block of that ULID. */
async function backUp(
  { ulid }: BlockMeta,
  backup: Bucket,
  { bucket, signal }: BucketTool,
): Promise<void> {
  const name = metaName(ulid);
  const there = await readIfPresent(backup, name, signal);
  if (there !== undefined && Buffer.compare(there, await bucket.read(name, { signal })) !== 0) {
    throw new CorruptionError(
      `${ulid} dir seems to exists in backup bucket, with another ${name}. Remove this block manually if you are sure it is safe to do`,
    );
  }
  await copyBlock({ from: bucket, to: backup, id: ulid, signal });
}

async function readIfPresent(
  bucket: Bucket,
  name: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return await bucket.read(name, { signal });
  } catch (thrown) {
    if (thrown instanceof NotFoundError) return undefined;
    throw thrown;
  }
}

async function removeSafely(
  { ulid }: BlockMeta,
  { deleteDelayMs }: RepairOptions,
  { bucket, clock, log, signal }: BucketTool,
): Promise<void> {
  if (deleteDelayMs === 0) {
    log.info('deleting block', { block: ulid });
    await deleteBlock(bucket, ulid, signal);
    return;
  }
  log.info('marking block for deletion', { block: ulid });
  await markBlock(bucket, ulid, { kind: 'deletion', details: DETAILS, clock, signal });
}

function describe({ outsideChunks, outsideSamples, duplicateChunks }: Dropped): string {
  const parts = [
    ...(outsideChunks > 0
      ? [`${outsideChunks} chunks outside of its time with ${outsideSamples} samples`]
      : []),
    ...(duplicateChunks > 0 ? [`${duplicateChunks} chunks that it had twice`] : []),
  ];
  return parts.length === 0 ? 'everything is in it' : `without ${parts.join(' and ')}`;
}
