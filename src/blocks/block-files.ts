import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '#/lib/clock.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError, CorruptionError } from '#/lib/errors.ts';
import { isUlid, looksLikeUlid } from '#/lib/ulid.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import {
  CHUNKS_DIRNAME,
  INDEX_FILENAME,
  META_FILENAME,
  parseBlockMeta,
  printBlockMeta,
} from '#/tsdb/block-meta.ts';
import type { BlockFile, BlockMeta } from '#/tsdb/block-meta.ts';
import { markName } from './markers.ts';

export type HashFunction = '' | 'SHA256';

/** Larger files go up in pieces; this much of one is in memory at a time. */
const PIECE_BYTES = 8 * 1024 * 1024;

export function metaName(id: string): string {
  return `${id}/${META_FILENAME}`;
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

interface UploadBlock {
  readonly disk: Disk;
  readonly clock: Pick<Clock, 'now'>;
  readonly bucket: Bucket;
  /** Named after the block's ULID. */
  readonly directory: string;
  readonly hashFunction?: HashFunction;
  /** How many segment files go up at once. Default 1. */
  readonly concurrency?: number;
  /** A block of plain Prometheus has no external labels. Default false. */
  readonly allowWithoutLabels?: boolean;
  readonly signal: AbortSignal;
}

/**
 * Uploads a block: segment files, index, and `meta.json` last, so that whoever sees `meta.json` sees
 * a whole block. What a failure leaves in the bucket is a partial block; uploading again mends it.
 * Returns the meta as uploaded, with its files and the time.
 */
export async function uploadBlock(request: UploadBlock): Promise<BlockMeta> {
  const { disk, clock, bucket, directory, signal } = request;
  const id = basename(directory);
  if (!isUlid(id)) throw new BadInputError(`${directory}: not named after a block's ULID`);
  const meta = await readLocalMeta(disk, directory);
  if (meta.thanos === undefined || Object.keys(meta.thanos.labels).length === 0) {
    if (request.allowWithoutLabels !== true) {
      throw new BadInputError(
        `${directory}: the block has no external labels; set external_labels of its Prometheus`,
      );
    }
  }
  const files = await describeFiles(disk, directory, request.hashFunction ?? '');
  const segments = files.filter(({ relPath }) => relPath.startsWith(`${CHUNKS_DIRNAME}/`));
  const send = (relPath: string, inner: AbortSignal) =>
    uploadFile(disk, bucket, join(directory, relPath), `${id}/${relPath}`, inner);

  await concurrently(request.concurrency ?? 1, segments, signal, ({ relPath }, inner) =>
    send(relPath, inner),
  );
  await send(INDEX_FILENAME, signal);
  const uploaded = withFiles(meta, files, new Date(clock.now()).toISOString());
  await bucket.upload(metaName(id), new TextEncoder().encode(printBlockMeta(uploaded)), { signal });
  return uploaded;
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
  readonly signal: AbortSignal;
}): Promise<BlockMeta> {
  const { disk, bucket, id, directory, signal } = request;
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
    if (await isUnchanged(disk, path, meta, relPath)) return;
    await downloadFile(disk, bucket, name, path, inner);
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

/** What `meta.json` says of the block's files: segments, index and itself, by path. */
async function describeFiles(
  disk: Disk,
  directory: string,
  hashFunction: HashFunction,
): Promise<BlockFile[]> {
  const segments = await segmentFiles(disk, directory);
  const paths = [...segments.map((name) => `${CHUNKS_DIRNAME}/${name}`), INDEX_FILENAME];
  const files: BlockFile[] = [];
  for (const relPath of paths) {
    const path = join(directory, relPath);
    const stat = await disk.stat(path);
    if (stat === undefined) throw new CorruptionError(`${path}: missing; the block is not whole`);
    files.push({
      relPath,
      sizeBytes: stat.sizeBytes,
      ...(hashFunction === ''
        ? {}
        : { hash: { func: hashFunction, value: await sha256Of(disk, path) } }),
    });
  }
  return [...files, { relPath: META_FILENAME, sizeBytes: 0 }];
}

function withFiles(meta: BlockMeta, files: readonly BlockFile[], uploadTime: string): BlockMeta {
  const { thanos = emptyThanosMeta } = meta;
  return { ...meta, thanos: { ...thanos, files, uploadTime } };
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

async function uploadFile(
  disk: Disk,
  bucket: Bucket,
  path: string,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const size = (await disk.stat(path))?.sizeBytes ?? 0;
  const content = size <= PIECE_BYTES ? await disk.read(path) : readPieces(disk, path);
  await bucket.upload(name, content, { signal });
}

async function* readPieces(disk: Disk, path: string): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; offset += PIECE_BYTES) {
    const piece = await disk.readRange(path, offset, PIECE_BYTES);
    if (piece.length > 0) yield piece;
    if (piece.length < PIECE_BYTES) return;
  }
}

async function downloadFile(
  disk: Disk,
  bucket: Bucket,
  name: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  await disk.makeDirectory(dirname(path));
  const temporary = `${path}.tmp`;
  await disk.write(temporary, new Uint8Array());
  for await (const piece of bucket.readStream(name, { signal })) {
    await disk.append(temporary, piece);
  }
  await disk.sync(temporary);
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
    return (await sha256Of(disk, path)) === hash.value;
  } catch (thrown) {
    if (isMissing(thrown)) return false;
    throw thrown;
  }
}

async function sha256Of(disk: Disk, path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of readPieces(disk, path)) hash.update(piece);
  return hash.digest('hex');
}
