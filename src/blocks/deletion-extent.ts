import { NotFoundError } from '#/lib/errors.ts';
import type { Bucket, OperationOptions } from '#/objstore/bucket.ts';
import type { RangeReader } from '#/storage/range-reader.ts';
import { INDEX_FILENAME } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { IndexReader } from '#/tsdb/index.ts';
import { deletedRanges } from '#/tsdb/series-deletion.ts';
import type { SeriesDeletion } from '#/tsdb/series-deletion.ts';
import type { Interval } from '#/tsdb/tombstones.ts';

/** What deletions would take of a block, by its index: no chunk is read. */
export interface DeletionExtent {
  readonly series: number;
  /** Estimates: of a chunk of which a part is deleted, as large a part as of its time. */
  readonly samples: number;
  readonly bytes: number;
}

/**
 * Looks into the index of a block in the bucket, for deletions of its own series (`deletionWithin`).
 * @throws CorruptionError if the index is damaged, NotFoundError if the block is gone.
 */
export async function deletionExtent(
  bucket: Bucket,
  meta: BlockMeta,
  deletions: readonly SeriesDeletion[],
  options: OperationOptions,
): Promise<DeletionExtent> {
  const index = await IndexReader.open(await bucketIndex(bucket, meta, options), options.signal);
  const selected = new Set<number>();
  for (const { matchers } of deletions) {
    for (const id of await index.select(matchers, options.signal)) selected.add(id);
  }
  let series = 0;
  let chunks = 0;
  await index.forEachSeries(
    Uint32Array.from(selected).sort(),
    (entry) => {
      const deleted = deletedRanges(index.labelsOf(entry), deletions);
      let share = 0;
      for (const chunk of entry.chunksIn(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)) {
        share += deletedShare(chunk, deleted);
      }
      if (share === 0) return;
      series++;
      chunks += share;
    },
    options.signal,
  );
  const { numSamples, numChunks } = meta.stats;
  const of = numChunks === 0 ? 0 : chunks / numChunks;
  return { series, samples: Math.round(of * numSamples), bytes: Math.round(of * chunkBytes(meta)) };
}

function deletedShare({ mint, maxt }: Interval, deleted: readonly Interval[]): number {
  const length = maxt - mint + 1;
  let gone = 0;
  for (const one of deleted) {
    gone += Math.max(0, Math.min(one.maxt, maxt) - Math.max(one.mint, mint) + 1);
  }
  return gone / length;
}

/** As far as `meta.json` tells. */
function chunkBytes({ thanos }: BlockMeta): number {
  const files = thanos?.files ?? [];
  return files
    .filter(({ relPath }) => relPath.startsWith('chunks/'))
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

async function bucketIndex(
  bucket: Bucket,
  { ulid }: BlockMeta,
  options: OperationOptions,
): Promise<RangeReader> {
  const name = `${ulid}/${INDEX_FILENAME}`;
  const attributes = await bucket.attributes(name, options);
  if (attributes === undefined) throw new NotFoundError(`${bucket.name}: ${name} is missing`);
  return {
    sizeBytes: attributes.sizeBytes,
    read: (offset, length, signal) => bucket.read(name, { ...options, offset, length, signal }),
  };
}
