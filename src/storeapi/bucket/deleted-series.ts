import { Labels } from '#/model/labels.ts';
import type { ChunkColumns } from '#/tsdb/index.ts';
import { noPostings } from '#/tsdb/postings.ts';
import type { Postings } from '#/tsdb/postings.ts';
import { deletedRanges } from '#/tsdb/series-deletion.ts';
import type { SeriesDeletion } from '#/tsdb/series-deletion.ts';
import type { Interval } from '#/tsdb/tombstones.ts';
import type { IndexLoader } from './index-loader.ts';
import type { BlockReading } from './losses.ts';

export const nothing: readonly Interval[] = [];

/**
 * Takes chunks that are deleted as a whole out of the columns, of the series with these labels whose
 * chunks stand from `from` on, and gives the ranges that others have a part in.
 */
export function dropDeleted(
  labels: readonly string[],
  deletions: readonly SeriesDeletion[],
  { chunks, from }: { readonly chunks: ChunkColumns; readonly from: number },
): readonly Interval[] {
  const deleted = deletedRanges(Labels.fromSortedFlat(labels), deletions);
  if (deleted.length === 0) return nothing;
  chunks.dropWithin(deleted, from);
  const last = chunks.length - 1;
  if (last < from) return nothing;
  const first = chunks.mints[from]!;
  const end = chunks.maxts[last]!;
  return deleted.filter(({ mint, maxt }) => mint <= end && maxt >= first);
}

/** More of a block are looked for again every time, so that few bytes stay that nobody counts. */
const MAX_KEPT = 4096;

/** Finds the series of a block that are deleted as a whole, and keeps them while the deletions stay. */
export class DeletedSeries {
  readonly #index: IndexLoader;
  #known: { readonly deletions: readonly SeriesDeletion[]; readonly ids: Postings } | undefined;

  constructor(index: IndexLoader) {
    this.#index = index;
  }

  /** Their numbers in the index. Of what the deletions select entries are read, but no chunks. */
  async of(deletions: readonly SeriesDeletion[], reading: BlockReading): Promise<Postings> {
    if (deletions.length === 0) return noPostings;
    if (this.#known?.deletions === deletions) return this.#known.ids;
    const ids = await this.#find(deletions, reading);
    if (ids.length <= MAX_KEPT) this.#known = { deletions, ids };
    return ids;
  }

  async #find(deletions: readonly SeriesDeletion[], reading: BlockReading): Promise<Postings> {
    const ids = new Set<number>();
    for (const { matchers } of deletions) {
      for await (const visitAll of this.#index.batches(matchers, reading)) {
        visitAll((entry, labels, id) => {
          const deleted = deletedRanges(Labels.fromSortedFlat(labels()), deletions);
          if (entry.isWithin(deleted)) ids.add(id);
          return true;
        });
      }
    }
    return Uint32Array.from(ids).sort();
  }
}
