import { concurrently } from '#/lib/concurrently.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { appliedDeletions } from '#/tsdb/block-rewrites.ts';
import { deletionExtent } from './deletion-extent.ts';
import type { DeletionExtent } from './deletion-extent.ts';
import { pendingDeletions, selectsBlock } from './deletion-view.ts';
import type { DeletionRequest } from './series-deletions.ts';

/** What a deletion would take of one block. */
export interface BlockExtent extends DeletionExtent {
  readonly meta: BlockMeta;
}

/** Indexes that are looked into at once. */
const LOOKS = 4;

/**
 * What a deletion would take of each of the blocks, those left out that it would take nothing of; by ULID.
 * Reads a part of the index of every block that it selects by time and external labels.
 */
export async function previewDeletion(
  request: DeletionRequest,
  metas: Iterable<BlockMeta>,
  bucket: Bucket,
  signal: AbortSignal,
): Promise<readonly BlockExtent[]> {
  const found: BlockExtent[] = [];
  await concurrently(LOOKS, metas, signal, async (meta, inner) => {
    const pending = pendingDeletions(meta, [request]);
    if (pending.length === 0) return;
    const extent = await deletionExtent(bucket, meta, pending, { signal: inner });
    if (extent.series > 0) found.push({ meta, ...extent });
  });
  return found.sort((a, b) => compareUtf8(a.meta.ulid, b.meta.ulid));
}

/** How a deletion stands. Stores honour it in any case. */
export interface DeletionStatus {
  readonly request: DeletionRequest;
  /** Blocks in the bucket that it selects by time and external labels. */
  readonly blocks: number;
  /** Those of them that say that they have been through it, or are known to have nothing of it. */
  readonly applied: number;
}

/** How deletions stand. `isClean` knows blocks that have nothing of what they were asked for. */
export function deletionStatuses(
  requests: readonly DeletionRequest[],
  metas: readonly BlockMeta[],
  isClean: (meta: BlockMeta, request: DeletionRequest) => boolean,
): readonly DeletionStatus[] {
  return requests.map((request) => {
    const selected = metas.filter((meta) => selectsBlock(request, meta));
    const applied = selected.filter(
      (meta) => appliedDeletions(meta).has(request.id) || isClean(meta, request),
    );
    return { request, blocks: selected.length, applied: applied.length };
  });
}
