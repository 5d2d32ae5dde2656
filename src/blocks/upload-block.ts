import { basename, join } from 'node:path';
import type { Clock } from '#/lib/clock.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError, CorruptionError, UnavailableError } from '#/lib/errors.ts';
import type { Throttle } from '#/lib/throttle.ts';
import { isUlid } from '#/lib/ulid.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import {
  CHUNKS_DIRNAME,
  INDEX_FILENAME,
  META_FILENAME,
  printBlockMeta,
} from '#/tsdb/block-meta.ts';
import type { BlockFile, BlockMeta } from '#/tsdb/block-meta.ts';
import {
  emptyThanosMeta,
  hashOf,
  metaName,
  PIECE_BYTES,
  readLocalMeta,
  readPieces,
  segmentFiles,
  storedFiles,
} from './block-files.ts';

export type HashFunction = '' | 'SHA256';

export interface UploadBlock {
  readonly disk: Disk;
  readonly clock: Pick<Clock, 'now'>;
  readonly bucket: Bucket;
  /** Named after the block's ULID. */
  readonly directory: string;
  /** Default: what `meta.json` of the directory says. */
  readonly meta?: BlockMeta;
  readonly hashFunction?: HashFunction;
  /** How many segment files go up at once. Default 1. */
  readonly concurrency?: number;
  /** A block of plain Prometheus has no external labels. Default false. */
  readonly allowWithoutLabels?: boolean;
  /**
   * A bucket that is a directory of the same disk may take the files of the directory as its own: they
   * are whole, and nobody writes to them any more. Default false.
   */
  readonly mayLink?: boolean;
  /** Called right before `meta.json` goes up; what it throws keeps the block from being seen. */
  readonly confirm?: () => Promise<void>;
  /** Bytes are taken from it before they go. Default: as fast as they can. */
  readonly throttle?: Throttle;
  /** Told after every file which share of the bytes is in the bucket. */
  readonly onFraction?: (fraction: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Uploads a block: segment files, index, and `meta.json` last, so that whoever sees `meta.json` sees
 * a whole block. Every file is looked up before that: `meta.json` follows only when all are there
 * with their sizes, and with the right checksums where the provider tells them. What a failure
 * leaves in the bucket is a partial block; uploading again sends only what is not there yet.
 * Returns the meta as uploaded, with its files and the time.
 * @throws BadInputError if it has no ULID or no labels, CorruptionError if a file is missing,
 * UnavailableError if the bucket has something else after an upload.
 */
export async function uploadBlock(request: UploadBlock): Promise<BlockMeta> {
  const { disk, clock, bucket, directory, signal } = request;
  const id = basename(directory);
  if (!isUlid(id)) throw new BadInputError(`${directory}: not named after a block's ULID`);
  const meta = request.meta ?? (await readLocalMeta(disk, directory));
  if (Object.keys(meta.thanos?.labels ?? {}).length === 0 && request.allowWithoutLabels !== true) {
    throw new BadInputError(
      `${directory}: the block has no external labels; set external_labels of its Prometheus`,
    );
  }
  const files = await describeFiles(disk, directory, request.hashFunction ?? '');
  const stored = await storedFiles(bucket, id, signal);
  const ensure = async (file: BlockFile, inner: AbortSignal) => {
    const upload = new FileUpload(request, file, inner);
    const isListed = stored.get(file.relPath) === file.sizeBytes;
    if (isListed && (await upload.problem()) === undefined) return;
    await upload.send();
    const problem = await upload.problem();
    if (problem !== undefined) throw new UnavailableError(problem);
  };
  const allBytes = files.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
  let doneBytes = 0;
  const send = async (file: BlockFile, inner: AbortSignal) => {
    await ensure(file, inner);
    doneBytes += file.sizeBytes;
    request.onFraction?.(doneBytes / allBytes);
  };

  const [index, ...segments] = files.toReversed();
  await concurrently(request.concurrency ?? 1, segments.toReversed(), signal, send);
  await send(index!, signal);
  const uploaded = withFiles(meta, files, new Date(clock.now()).toISOString());
  await request.confirm?.();
  await bucket.upload(metaName(id), new TextEncoder().encode(printBlockMeta(uploaded)), { signal });
  return uploaded;
}

/** One file on its way into the bucket. */
class FileUpload {
  readonly #request: UploadBlock;
  readonly #file: BlockFile;
  readonly #path: string;
  readonly #name: string;
  readonly #signal: AbortSignal;

  constructor(request: UploadBlock, file: BlockFile, signal: AbortSignal) {
    this.#request = request;
    this.#file = file;
    this.#path = join(request.directory, file.relPath);
    this.#name = `${basename(request.directory)}/${file.relPath}`;
    this.#signal = signal;
  }

  async send(): Promise<void> {
    const { disk, bucket, throttle, mayLink = false } = this.#request;
    const signal = this.#signal;
    const link = mayLink ? { disk, path: this.#path } : undefined;
    if (this.#file.sizeBytes > PIECE_BYTES) {
      await bucket.upload(this.#name, this.#pieces(), { link, signal });
      return;
    }
    const bytes = await disk.read(this.#path);
    await throttle?.take(bytes.length, signal);
    await bucket.upload(this.#name, bytes, { link, signal });
  }

  /** What is wrong with the object in the bucket; `undefined` if it is the file. */
  async problem(): Promise<string | undefined> {
    const { disk, bucket } = this.#request;
    const found = await bucket.attributes(this.#name, { signal: this.#signal });
    const where = `${bucket.name}/${this.#name}`;
    if (found === undefined) return `${where}: not there after it was uploaded`;
    if (found.sizeBytes !== this.#file.sizeBytes) {
      return `${where}: has ${found.sizeBytes} bytes, but ${this.#path} has ${this.#file.sizeBytes}`;
    }
    if (found.md5 === undefined) return undefined;
    const md5 = await hashOf(disk, this.#path, 'md5');
    return found.md5 === md5
      ? undefined
      : `${where}: has the MD5 ${found.md5}, but ${this.#path} has ${md5}`;
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    const { disk, throttle } = this.#request;
    for await (const piece of readPieces(disk, this.#path)) {
      await throttle?.take(piece.length, this.#signal);
      yield piece;
    }
  }
}

/** What `meta.json` says of the block's files: the segments, and the index last. */
async function describeFiles(
  disk: Disk,
  directory: string,
  hashFunction: HashFunction,
): Promise<BlockFile[]> {
  const segments = await segmentFiles(disk, directory).catch((thrown: unknown) => {
    if (!isMissing(thrown)) throw thrown;
    throw new CorruptionError(
      `${join(directory, CHUNKS_DIRNAME)}: missing; the block is not whole`,
    );
  });
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
        : { hash: { func: hashFunction, value: await hashOf(disk, path, 'sha256') } }),
    });
  }
  return files;
}

function withFiles(meta: BlockMeta, files: readonly BlockFile[], uploadTime: string): BlockMeta {
  const { thanos = emptyThanosMeta } = meta;
  const all = [...files, { relPath: META_FILENAME, sizeBytes: 0 }];
  return { ...meta, thanos: { ...thanos, files: all, uploadTime } };
}
