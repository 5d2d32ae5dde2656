import { concurrently } from '#/lib/concurrently.ts';
import { BadInputError, CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import type { Bucket, ListEntry } from '#/objstore/bucket.ts';
import type { Log } from '#/telemetry/logger.ts';
import { META_FILENAME, parseBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { blockIdOf, metaName } from '../block-files.ts';
import type { BucketIndex, IndexedBlock, IndexedMark } from '../bucket-index.ts';
import { MARK_KINDS, markKindOf, readMark } from '../markers.ts';
import type { MarkKind } from '../markers.ts';
import { leanMeta } from './block-lines.ts';

export type FoundInBucket = Pick<BucketIndex, 'blocks' | 'partial'>;

export interface LookOptions {
  readonly bucket: Bucket;
  readonly concurrency: number;
  readonly log: Log;
}

/** What one listing shows of a block. */
interface Listed {
  meta?: ListEntry;
  readonly marks: Partial<Record<MarkKind, ListEntry>>;
}

/**
 * All blocks of a bucket and their marks, from one listing of everything. What has the same time of
 * writing as in `before` is taken from there, everything else is read. A block of which something
 * cannot be made out is left out.
 * @throws UnavailableError if a part of the bucket cannot be seen.
 */
export async function lookIntoBucket(
  options: LookOptions,
  before: FoundInBucket | undefined,
  signal: AbortSignal,
): Promise<FoundInBucket> {
  const listed = await listBlocks(options.bucket, signal);
  const partial: string[] = [];
  const blocks = new Map<string, IndexedBlock>();
  const changed: [id: string, entries: Listed][] = [];
  for (const [id, entries] of listed) {
    const known = before?.blocks.get(id);
    if (entries.meta === undefined) partial.push(id);
    else if (known !== undefined && isAsListed(known, entries)) blocks.set(id, known);
    else changed.push([id, entries]);
  }
  await concurrently(options.concurrency, changed, signal, async ([id, entries], inner) => {
    try {
      const block = await readBlock(options.bucket, id, entries, before?.blocks.get(id), inner);
      blocks.set(id, block);
    } catch (thrown) {
      if (!isAboutOneBlock(thrown)) throw thrown;
      options.log.debug('block is left out of the bucket index', {
        block: id,
        err: messageOf(thrown),
      });
    }
  });
  return { blocks: sorted(blocks), partial: new Set(partial.sort()) };
}

/** Whether two looks found the same. */
export function isSame(a: FoundInBucket, b: FoundInBucket): boolean {
  if (a.blocks.size !== b.blocks.size || a.partial.size !== b.partial.size) return false;
  if (!b.partial.isSubsetOf(a.partial)) return false;
  for (const [id, block] of b.blocks) {
    const other = a.blocks.get(id);
    if (other?.meta !== block.meta) return false;
    if (MARK_KINDS.some((kind) => !isSameMark(other.marks[kind], block.marks[kind]))) return false;
  }
  return true;
}

function isSameMark(a: IndexedMark | undefined, b: IndexedMark | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Whether nothing of a block was written since. Without times of writing marks are read again. */
function isAsListed(known: IndexedBlock, { meta, marks }: Listed): boolean {
  if (known.modifiedMs !== meta?.modifiedMs) return false;
  return MARK_KINDS.every((kind) => {
    const entry = marks[kind];
    const mark = known.marks[kind];
    if (entry === undefined || mark === undefined) return entry === mark;
    return entry.modifiedMs !== undefined && entry.modifiedMs === mark.modifiedMs;
  });
}

async function listBlocks(bucket: Bucket, signal: AbortSignal): Promise<Map<string, Listed>> {
  const listed = new Map<string, Listed>();
  for await (const entry of bucket.list('', { recursive: true, signal })) {
    const id = blockIdOf(entry.name);
    if (id === undefined) continue;
    const entries = listed.getOrInsertComputed(id, () => ({ marks: {} }));
    const kind = markKindOf(entry.name);
    if (kind !== undefined) entries.marks[kind] = entry;
    else if (entry.name === `${id}/${META_FILENAME}`) entries.meta = entry;
  }
  return listed;
}

async function readBlock(
  bucket: Bucket,
  id: string,
  { meta, marks: entries }: Listed,
  before: IndexedBlock | undefined,
  signal: AbortSignal,
): Promise<IndexedBlock> {
  const modifiedMs = meta?.modifiedMs;
  const marks: Partial<Record<MarkKind, IndexedMark>> = {};
  for (const kind of MARK_KINDS) {
    const entry = entries[kind];
    const mark = entry && (await readMark(bucket, id, kind, signal));
    if (mark !== undefined) marks[kind] = { ...mark, ...timeOf(entry) };
  }
  const isKnown = before !== undefined && before.modifiedMs === modifiedMs;
  return { meta: isKnown ? before.meta : await readMeta(bucket, id, signal), modifiedMs, marks };
}

function timeOf(entry: ListEntry | undefined): { readonly modifiedMs?: number } {
  return entry?.modifiedMs === undefined ? {} : { modifiedMs: entry.modifiedMs };
}

async function readMeta(bucket: Bucket, id: string, signal: AbortSignal): Promise<BlockMeta> {
  const name = metaName(id);
  const text = new TextDecoder().decode(await bucket.read(name, { signal }));
  const meta = parseBlockMeta(text, `${bucket.name}/${name}`);
  if (meta.ulid === id) return leanMeta(meta);
  throw new CorruptionError(`${bucket.name}/${name}: says that it is of block ${meta.ulid}`);
}

/** Damage, an unknown version, or a block that goes while it is looked at. */
function isAboutOneBlock(thrown: unknown): boolean {
  return (
    thrown instanceof CorruptionError ||
    thrown instanceof BadInputError ||
    thrown instanceof NotFoundError
  );
}

function sorted<T>(byId: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...byId].sort(([a], [b]) => (a < b ? -1 : 1)));
}
