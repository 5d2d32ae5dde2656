import { join } from 'node:path';
import { downloadBlock, metaName } from '#/blocks/block-files.ts';
import { concurrently } from '#/lib/concurrently.ts';
import type { Disk } from '#/lib/disk.ts';
import { LimitError, UnavailableError } from '#/lib/errors.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { GroupFault, noCompactCommand, readable } from './group-fault.ts';
import { blockBytes } from './progress.ts';

export interface FetchRequest {
  readonly disk: Disk;
  readonly bucket: Bucket;
  readonly blocks: readonly BlockMeta[];
  /** Each block goes into a directory of its ULID below it. */
  readonly directory: string;
  /** Blocks, and files of a block, that come down at once. */
  readonly blockConcurrency: number;
  readonly fileConcurrency: number;
  readonly signal: AbortSignal;
  readonly onFraction?: (fraction: number) => void;
}

/** What a job takes of the disk, and what there is. */
export interface DiskNeed {
  readonly neededBytes: number;
  readonly freeBytes: number;
}

/**
 * What downloading the blocks and writing a block as large as all of them takes, less what is there
 * from an earlier attempt.
 */
export async function diskNeed(
  request: Pick<FetchRequest, 'disk' | 'bucket' | 'blocks' | 'directory' | 'signal'>,
): Promise<DiskNeed> {
  const { disk, directory, blocks } = request;
  let neededBytes = 0;
  for (const block of blocks) {
    for (const { path, sizeBytes } of await filesOf(request, block)) {
      const there = (await disk.stat(join(directory, block.ulid, path)))?.sizeBytes ?? 0;
      neededBytes += sizeBytes + Math.max(0, sizeBytes - there);
    }
  }
  return { neededBytes, freeBytes: await disk.freeBytes(directory) };
}

/** @throws LimitError if the job would not fit. */
export function checkDiskNeed({ neededBytes, freeBytes }: DiskNeed, directory: string): void {
  if (neededBytes <= freeBytes) return;
  throw new LimitError(
    `the job needs ${neededBytes} bytes of disk and ${directory} has ${freeBytes} left; ` +
      'make room there, or give --data-dir a larger disk',
  );
}

/**
 * Downloads blocks and compares the files' sizes with what their metas say. Blocks that are there
 * from an earlier attempt are taken as far as they are whole.
 * @throws GroupFault if a block is not whole in the bucket, UnavailableError if it is being deleted.
 */
export async function fetchInputs(request: FetchRequest): Promise<void> {
  const { disk, bucket, directory, blocks, signal, onFraction } = request;
  const allBytes = blocks.reduce((bytes, block) => bytes + blockBytes(block), 0);
  let doneBytes = 0;
  await concurrently(request.blockConcurrency, blocks, signal, async (block, inner) => {
    const into = join(directory, block.ulid);
    const download = () =>
      downloadBlock({
        disk,
        bucket,
        id: block.ulid,
        directory: into,
        concurrency: request.fileConcurrency,
        mayLink: true,
        onFile: (sizeBytes) => {
          doneBytes += sizeBytes;
          onFraction?.(Math.min(1, doneBytes / allBytes));
        },
        signal: inner,
      });
    await readable(block, download);
    for (const { relPath, sizeBytes } of block.thanos?.files ?? []) {
      const stat = await disk.stat(join(into, relPath));
      if (stat !== undefined && (sizeBytes === 0 || stat.sizeBytes === sizeBytes)) continue;
      await checkMisfit(bucket, block, { relPath, sizeBytes }, inner);
    }
  });
}

/**
 * Says what it means that a file did not come in its size. A listing may lag behind, and of a block
 * that is deleted `meta.json` goes first; while that is there, what is missing stays so.
 */
async function checkMisfit(
  bucket: Bucket,
  { ulid }: BlockMeta,
  { relPath, sizeBytes }: { readonly relPath: string; readonly sizeBytes: number },
  signal: AbortSignal,
): Promise<never> {
  const found = (await bucket.attributes(`${ulid}/${relPath}`, { signal }))?.sizeBytes;
  const isWhole = found !== undefined && (sizeBytes === 0 || found === sizeBytes);
  const isThere = (await bucket.attributes(metaName(ulid), { signal })) !== undefined;
  const message = `block ${ulid}: ${relPath} has ${found ?? 'no'} bytes in ${bucket.name}, its meta.json says ${sizeBytes}`;
  if (isWhole || !isThere) throw new UnavailableError(message);
  const command = noCompactCommand([ulid], 'incomplete');
  throw new GroupFault('damaged-block', message, { blocks: [ulid], command });
}

/** From the meta, or, for blocks of old uploaders, from a listing. */
async function filesOf(
  { bucket, signal }: Pick<FetchRequest, 'bucket' | 'signal'>,
  block: BlockMeta,
): Promise<{ readonly path: string; readonly sizeBytes: number }[]> {
  const stated = block.thanos?.files ?? [];
  if (stated.length > 0)
    return stated.map(({ relPath, sizeBytes }) => ({ path: relPath, sizeBytes }));
  const files = [];
  for await (const { name, sizeBytes } of bucket.list(`${block.ulid}/`, {
    recursive: true,
    signal,
  })) {
    const size = sizeBytes ?? (await bucket.attributes(name, { signal }))?.sizeBytes ?? 0;
    files.push({ path: name.slice(block.ulid.length + 1), sizeBytes: size });
  }
  return files;
}
