import { checkComplete } from '#/blocks/fetcher.ts';
import type { BlockView, BlockViewer } from '#/blocks/fetcher.ts';
import type { DeduplicateFilter, MarkFilter } from '#/blocks/filters.ts';
import type { Mark } from '#/blocks/markers.ts';
import { SeenBlocks } from '#/blocks/seen-blocks.ts';
import type { BlocksSeen, SeenBlock } from '#/blocks/seen-blocks.ts';
import type { Clock } from '#/lib/clock.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';

/** What the bucket held at one moment, through the filters of a compactor. */
export interface BucketSnapshot {
  /** By ULID; blocks that were just marked for deletion included, since others may not replace them yet. */
  readonly metas: ReadonlyMap<string, BlockMeta>;
  readonly noCompact: ReadonlySet<string>;
  readonly noDownsample: ReadonlySet<string>;
  /** Of all blocks, those that the filters dropped included. */
  readonly deletionMarks: ReadonlyMap<string, Mark>;
  /** Blocks whose data another one has, with that one. */
  readonly duplicates: ReadonlyMap<string, string>;
  /** Directories without a readable `meta.json`: uploads and deletions under way, or left behind. */
  readonly partial: ReadonlyMap<string, Error>;
}

export interface ViewFilters {
  readonly deletion: MarkFilter;
  readonly duplicates: DeduplicateFilter;
  readonly noCompact: MarkFilter;
  readonly noDownsample: MarkFilter;
}

/**
 * The view on the bucket that a compactor's queues share. `filters` are among those of the viewer.
 * Synchronizations run one at a time; those asked for while one runs become one.
 */
export class BucketView {
  readonly #viewer: Pick<BlockViewer, 'fetch'>;
  readonly #filters: ViewFilters;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<BucketSnapshot> | undefined;
  readonly #seen: SeenBlocks;

  constructor(viewer: Pick<BlockViewer, 'fetch'>, filters: ViewFilters, clock: Pick<Clock, 'now'>) {
    this.#viewer = viewer;
    this.#filters = filters;
    this.#seen = new SeenBlocks(clock);
  }

  /** What the last synchronization found, for people to look at. */
  get seen(): BlocksSeen {
    return this.#seen.current;
  }

  /**
   * The bucket as it is after this call. The first caller's signal counts for those who share.
   * @throws UnavailableError if a part of it could not be seen: plans must not be made without it.
   */
  sync(signal: AbortSignal): Promise<BucketSnapshot> {
    this.#next ??= this.#after(this.#running, signal);
    return this.#next;
  }

  #after(previous: Promise<unknown>, signal: AbortSignal): Promise<BucketSnapshot> {
    const start = () => {
      this.#next = undefined;
      return this.#fetch(signal);
    };
    const taken = previous.then(start, start);
    this.#running = taken;
    return taken;
  }

  async #fetch(signal: AbortSignal): Promise<BucketSnapshot> {
    try {
      const view = await this.#viewer.fetch(signal);
      checkComplete(view);
      const snapshot = this.#snapshot(view);
      this.#seen.set(seenOf(snapshot));
      return snapshot;
    } catch (thrown) {
      this.#seen.failed(thrown);
      throw thrown;
    }
  }

  #snapshot({ metas, partial }: BlockView): BucketSnapshot {
    const { deletion, duplicates, noCompact, noDownsample } = this.#filters;
    return {
      metas,
      noCompact: new Set(noCompact.marks.keys()),
      noDownsample: new Set(noDownsample.marks.keys()),
      deletionMarks: deletion.marks,
      duplicates: duplicates.duplicates,
      partial,
    };
  }
}

function seenOf(snapshot: BucketSnapshot): SeenBlock[] {
  const { metas, deletionMarks, noCompact, noDownsample } = snapshot;
  return Array.from(metas, ([id, meta]) => ({
    meta,
    marks: [
      ...(deletionMarks.has(id) ? (['deletion'] as const) : []),
      ...(noCompact.has(id) ? (['no-compact'] as const) : []),
      ...(noDownsample.has(id) ? (['no-downsample'] as const) : []),
    ],
  }));
}
