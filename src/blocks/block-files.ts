import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { concurrently } from '#/lib/concurrently.ts';
import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { looksLikeUlid } from '#/lib/ulid.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import {
  CHUNKS_DIRNAME,
  INDEX_FILENAME,
  META_FILENAME,
  parseBlockMeta,
  printBlockMeta,
} from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { markName } from './markers.ts';

/** Larger files go up and down in pieces; this much of one is in memory at a time. */
export const PIECE_BYTES = 8 * 1024 * 1024;

export function metaName(id: string): string {
  return `${id}/${META_FILENAME}`;
}

/**
 * The sizes of a block's objects in the bucket by path below the block, from one listing; those that
 * it does not tell are asked for.
 */
export async function storedFiles(
  bucket: Bucket,
  id: string,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for await (const { name, sizeBytes } of bucket.list(`${id}/`, { recursive: true, signal })) {
    const size = sizeBytes ?? (await bucket.attributes(name, { signal }))?.sizeBytes;
    if (size !== undefined) sizes.set(name.slice(id.length + 1), size);
  }
  return sizes;
}

/** Whether there is anything of a block, as also of an upload that broke off. */
export async function blockExists(
  bucket: Bucket,
  id: string,
  signal?: AbortSignal,
): Promise<boolean> {
  for await (const _ of bucket.list(`${id}/`, { signal })) return true;
  return false;
}

/** The ULID that an object's name begins with, or a directory's; `undefined` if it is no block's. */
export function blockIdOf(name: string): string | undefined {
  const slash = name.indexOf('/');
  const id = slash === -1 ? name : name.slice(0, slash);
  return looksLikeUlid(id) ? id : undefined;
}

export async function readLocalMeta(disk: Disk, directory: string): Promise<BlockMeta> {
  const path = join(directory, META_FILENAME);
  return parseBlockMeta(new TextDecoder().decode(await disk.read(path)), path);
}

/** Replaces `meta.json` by renaming: its bytes may belong to other names too, through hard links. */
export async function writeLocalMeta(
  disk: Disk,
  directory: string,
  meta: BlockMeta,
): Promise<void> {
  const path = join(directory, META_FILENAME);
  await disk.write(`${path}.tmp`, new TextEncoder().encode(printBlockMeta(meta)));
  await disk.rename(`${path}.tmp`, path);
}

/** Base names of the segment files, sorted. */
export async function segmentFiles(disk: Disk, directory: string): Promise<string[]> {
  return (await disk.list(join(directory, CHUNKS_DIRNAME))).map((entry) => entry.name);
}

/**
 * Downloads a block into `directory`, `meta.json` first. Files that are there already with the hash
 * that `meta.json` has for them are left as they are.
 */
export async function downloadBlock(request: {
  readonly disk: Disk;
  readonly bucket: Bucket;
  readonly id: string;
  readonly directory: string;
  /** How many files come down at once. Default 1. */
  readonly concurrency?: number;
  /** Told after every file how large it is. */
  readonly onFile?: (sizeBytes: number) => void;
  /**
   * Index and segments may be second names of the objects' own bytes, if the bucket is a directory
   * of the same disk: nobody writes to them, as the format has it. Default false.
   */
  readonly mayLink?: boolean;
  readonly signal: AbortSignal;
}): Promise<BlockMeta> {
  const { disk, bucket, id, directory, signal, mayLink = false } = request;
  const metaBytes = await bucket.read(metaName(id), { signal });
  const meta = parseBlockMeta(
    new TextDecoder().decode(metaBytes),
    `${bucket.name}/${metaName(id)}`,
  );
  await disk.write(join(directory, META_FILENAME), metaBytes);
  await disk.makeDirectory(join(directory, CHUNKS_DIRNAME));
  const entries = bucket.list(`${id}/`, { recursive: true, signal });
  await concurrently(request.concurrency ?? 1, entries, signal, async ({ name }, inner) => {
    const relPath = name.slice(id.length + 1);
    if (relPath === META_FILENAME || relPath === '' || relPath.endsWith('/')) return;
    if (relPath.split('/').includes('..')) {
      throw new CorruptionError(`${bucket.name}/${name}: a block's file cannot be outside of it`);
    }
    const path = join(directory, relPath);
    if (!(await isUnchanged(disk, path, meta, relPath))) {
      const link = mayLink && isImmutable(relPath);
      await downloadFile({ disk, bucket, name, path, link }, inner);
    }
    request.onFile?.((await disk.stat(path))?.sizeBytes ?? 0);
  });
  return meta;
}

/**
 * Deletes a block: `meta.json` first, so that nobody takes the rest for a whole block, and the
 * deletion mark last, so that an interrupted deletion is found and taken up again.
 */
export async function deleteBlock(bucket: Bucket, id: string, signal: AbortSignal): Promise<void> {
  const options = { reason: 'deletion', signal } as const;
  const mark = markName(id, 'deletion');
  await bucket.remove(metaName(id), options);
  for await (const { name } of bucket.list(`${id}/`, { recursive: true, ...options })) {
    if (name !== metaName(id) && name !== mark) await bucket.remove(name, options);
  }
  await bucket.remove(mark, options);
  // Some providers keep directories as empty objects.
  for (const marker of [`${id}/${CHUNKS_DIRNAME}/`, `${id}/`]) {
    await bucket.remove(marker, options).catch(() => signal.throwIfAborted());
  }
}

export const emptyThanosMeta: NonNullable<BlockMeta['thanos']> = {
  labels: {},
  downsample: { resolution: 0 },
  source: '',
  segmentFiles: [],
  files: [],
  rewrites: [],
  indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
  uploadTime: '',
};

/** A local file, piece by piece. */
export async function* readPieces(disk: Disk, path: string): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; offset += PIECE_BYTES) {
    const piece = await disk.readRange(path, offset, PIECE_BYTES);
    if (piece.length > 0) yield piece;
    if (piece.length < PIECE_BYTES) return;
  }
}

/** Files of a block that are never written to once it is made; others may be replaced. */
function isImmutable(relPath: string): boolean {
  return relPath === INDEX_FILENAME || relPath.startsWith(`${CHUNKS_DIRNAME}/`);
}

async function downloadFile(
  file: {
    readonly disk: Disk;
    readonly bucket: Bucket;
    readonly name: string;
    readonly path: string;
    readonly link: boolean;
  },
  signal: AbortSignal,
): Promise<void> {
  const { disk, bucket, name, path } = file;
  await disk.makeDirectory(dirname(path));
  const temporary = `${path}.tmp`;
  // Neither emptied nor replaced: both may be names of the object's bytes, and renaming one name of a
  // file to another does nothing.
  await disk.remove(temporary);
  await disk.remove(path);
  const link = file.link ? { disk, path: temporary } : undefined;
  for await (const piece of bucket.readStream(name, { link, signal })) {
    await disk.append(temporary, piece);
  }
  const isThere = (await disk.stat(temporary)) !== undefined;
  if (isThere) await disk.sync(temporary);
  else await disk.write(temporary, new Uint8Array());
  await disk.rename(temporary, path);
}

async function isUnchanged(
  disk: Disk,
  path: string,
  meta: BlockMeta,
  relPath: string,
): Promise<boolean> {
  const hash = meta.thanos?.files.find((file) => file.relPath === relPath)?.hash;
  if (hash?.func !== 'SHA256') return false;
  try {
    return (await hashOf(disk, path, 'sha256')) === hash.value;
  } catch (thrown) {
    if (isMissing(thrown)) return false;
    throw thrown;
  }
}

export async function hashOf(
  disk: Disk,
  path: string,
  algorithm: 'sha256' | 'md5',
): Promise<string> {
  const hash = createHash(algorithm);
  for await (const piece of readPieces(disk, path)) hash.update(piece);
  return hash.digest('hex');
}
