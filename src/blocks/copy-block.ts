import { CorruptionError, NotFoundError, UnavailableError } from '#/lib/errors.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import {
  CHUNKS_DIRNAME,
  INDEX_FILENAME,
  META_FILENAME,
  parseBlockMeta,
} from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { metaName, storedFiles } from './block-files.ts';
import { markName } from './markers.ts';

export interface CopyBlock {
  readonly from: Bucket;
  readonly to: Bucket;
  readonly id: string;
  readonly signal: AbortSignal;
}

export interface CopiedBlock {
  /** How many objects were sent; 0 when all were there already. */
  readonly objects: number;
  readonly bytes: number;
}

/**
 * Copies a whole block from bucket to bucket: segment files and index, the marks that keep it from
 * being compacted or downsampled, and `meta.json` last, each verified before the next step. What is
 * there already with its size is not sent again, so an interrupted copy goes on where it stopped,
 * and a second one costs two requests and a listing. Deletion marks stay: the copy may be a backup.
 * @throws CorruptionError if the source is not whole, UnavailableError if a copy comes out different.
 */
export async function copyBlock(request: CopyBlock): Promise<CopiedBlock> {
  const { from, to, id, signal } = request;
  const metaBytes = await from.read(metaName(id), { signal });
  const stored = await storedFiles(from, id, signal);
  const marks = (['no-compact', 'no-downsample'] as const)
    .map((kind) => markName(id, kind).slice(id.length + 1))
    .filter((relPath) => stored.has(relPath));
  const copy = new Copy(request, stored, await storedFiles(to, id, signal));
  if (!(await hasBytes(to, metaName(id), metaBytes, signal))) {
    const where = `${from.name}/${metaName(id)}`;
    checkWhole(parseBlockMeta(new TextDecoder().decode(metaBytes), where), stored, where);
    const segments = [...stored.keys()].filter((path) => path.startsWith(`${CHUNKS_DIRNAME}/`));
    for (const relPath of [...segments, INDEX_FILENAME, ...marks]) await copy.ensure(relPath);
    await to.upload(metaName(id), metaBytes, { signal });
    return { objects: copy.objects + 1, bytes: copy.bytes + metaBytes.length };
  }
  for (const relPath of marks) await copy.ensure(relPath);
  return copy;
}

/** @throws CorruptionError unless everything that the meta names is there with its size. */
function checkWhole(
  { thanos }: BlockMeta,
  stored: ReadonlyMap<string, number>,
  where: string,
): void {
  const named = (thanos?.files ?? []).filter(({ relPath }) => relPath !== META_FILENAME);
  // Metas of old versions name no files.
  if (!stored.has(INDEX_FILENAME)) named.push({ relPath: INDEX_FILENAME, sizeBytes: 0 });
  for (const { relPath, sizeBytes } of named) {
    const found = stored.get(relPath);
    if (found === sizeBytes || (found !== undefined && sizeBytes === 0)) continue;
    const what = found === undefined ? 'is missing' : `has ${found} bytes, not ${sizeBytes}`;
    throw new CorruptionError(`${where}: the block is not whole: ${relPath} ${what}`);
  }
}

/** What has been copied of a block so far. */
class Copy implements CopiedBlock {
  objects = 0;
  bytes = 0;
  readonly #request: CopyBlock;
  readonly #source: ReadonlyMap<string, number>;
  readonly #target: ReadonlyMap<string, number>;

  constructor(
    request: CopyBlock,
    source: ReadonlyMap<string, number>,
    target: ReadonlyMap<string, number>,
  ) {
    this.#request = request;
    this.#source = source;
    this.#target = target;
  }

  async ensure(relPath: string): Promise<void> {
    const size = this.#source.get(relPath)!;
    if (this.#target.get(relPath) === size && (await this.#problem(relPath)) === undefined) return;
    const { from, to, id, signal } = this.#request;
    const name = `${id}/${relPath}`;
    await to.upload(name, from.readStream(name, { signal }), { signal });
    const problem = await this.#problem(relPath);
    if (problem !== undefined) throw new UnavailableError(problem);
    this.objects++;
    this.bytes += size;
  }

  /** How the copy differs from the original; the sizes, and the MD5 where both sides tell it. */
  async #problem(relPath: string): Promise<string | undefined> {
    const { from, to, id, signal } = this.#request;
    const name = `${id}/${relPath}`;
    const copied = await to.attributes(name, { signal });
    const size = this.#source.get(relPath)!;
    if (copied?.sizeBytes !== size) {
      return `${to.name}/${name}: has ${copied?.sizeBytes ?? 'no'} bytes, but the original has ${size}`;
    }
    if (copied.md5 === undefined) return undefined;
    const original = await from.attributes(name, { signal });
    return original?.md5 === undefined || original.md5 === copied.md5
      ? undefined
      : `${to.name}/${name}: has the MD5 ${copied.md5}, but the original has ${original.md5}`;
  }
}

async function hasBytes(
  bucket: Bucket,
  name: string,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return Buffer.from(await bucket.read(name, { signal })).equals(bytes);
  } catch (thrown) {
    if (thrown instanceof NotFoundError) return false;
    throw thrown;
  }
}
