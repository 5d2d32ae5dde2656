import { checkComplete } from '#/blocks/fetcher.ts';
import type { BlockView, BlockViewer, MetaFailure } from '#/blocks/fetcher.ts';
import type { DeduplicateFilter, KeepingFilter, MarkFilter } from '#/blocks/filters.ts';
import { readMark } from '#/blocks/markers.ts';
import type { Mark } from '#/blocks/markers.ts';
import { SeenBlocks } from '#/blocks/seen-blocks.ts';
import type { BlocksSeen, SeenBlock } from '#/blocks/seen-blocks.ts';
import type { Clock } from '#/lib/clock.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { CorruptionError } from '#/lib/errors.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { Log } from '#/telemetry/logger.ts';
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
  /**
   * Those of `partial` whose `meta.json` is there but says nothing: damaged, of a later version, or out
   * of reach for long. One that is marked for deletion is given up, and not among them.
   */
  readonly unreadable: ReadonlyMap<string, Error>;
  /** Every block whose `meta.json` could be read, before any filter. */
  readonly all: ReadonlyMap<string, BlockMeta>;
}

export interface ViewFilters {
  /** The first of them. */
  readonly all: KeepingFilter;
  readonly deletion: MarkFilter;
  readonly duplicates: DeduplicateFilter;
  readonly noCompact: MarkFilter;
  readonly noDownsample: MarkFilter;
}

interface ViewEffects {
  readonly bucket: Bucket;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}

/** For how long a block whose `meta.json` is out of reach keeps everything waiting. */
const PATIENCE_MS = 30 * 60_000;
const MARK_CONCURRENCY = 32;

/**
 * The view on the bucket that a compactor's queues share. `filters` are among those of the viewer.
 * Synchronizations run one at a time; those asked for while one runs become one.
 */
export class BucketView {
  readonly #viewer: Pick<BlockViewer, 'fetch'>;
  readonly #filters: ViewFilters;
  #running: Promise<unknown> = Promise.resolve();
  #next: Promise<BucketSnapshot> | undefined;
  readonly #effects: ViewEffects;
  readonly #seen: SeenBlocks;
  /** Since when the `meta.json` of blocks has been out of reach. */
  #failingSince: ReadonlyMap<string, number> = new Map();
  #unreadable: ReadonlyMap<string, Error> = new Map();

  constructor(viewer: Pick<BlockViewer, 'fetch'>, filters: ViewFilters, effects: ViewEffects) {
    this.#viewer = viewer;
    this.#filters = filters;
    this.#effects = effects;
    this.#seen = new SeenBlocks(effects.clock);
  }

  /** As the last synchronization found them. */
  get unreadable(): BucketSnapshot['unreadable'] {
    return this.#unreadable;
  }

  /** Every block with the external labels that it has in the bucket, as of the last synchronization. */
  get all(): BucketSnapshot['all'] {
    return this.#filters.all.metas;
  }

  /** What the last synchronization found, for people to look at. */
  get seen(): BlocksSeen {
    return this.#seen.current;
  }

  /**
   * The bucket as it is after this call. The first caller's signal counts for those who share.
   * A block whose `meta.json` says nothing for good, or cannot be read for half an hour, is left out.
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
      this.#checkFailures(view);
      const snapshot = await this.#snapshot(view, signal);
      this.#seen.set(seenOf(snapshot));
      return snapshot;
    } catch (thrown) {
      this.#seen.failed(thrown);
      throw thrown;
    }
  }

  /** @throws UnavailableError if there are others than those that must be lived with. */
  #checkFailures(view: BlockView): void {
    const now = this.#effects.clock.now();
    const sinceOf = ({ id }: MetaFailure) => this.#failingSince.get(id) ?? now;
    this.#failingSince = new Map(view.failures.map((failure) => [failure.id, sinceOf(failure)]));
    const failures = view.failures.filter((failure) => {
      return !failure.isLasting && now - sinceOf(failure) < PATIENCE_MS;
    });
    checkComplete({ ...view, failures });
    for (const { id, message } of view.failures) {
      this.#effects.log.warn('block is left out: its meta.json cannot be read', {
        block: id,
        err: message,
      });
    }
  }

  async #snapshot(
    { metas, partial, failures }: BlockView,
    signal: AbortSignal,
  ): Promise<BucketSnapshot> {
    const { all, deletion, duplicates, noCompact, noDownsample } = this.#filters;
    const damaged = [...partial].filter(([, error]) => error instanceof CorruptionError);
    const failing = failures.map((failure): [string, Error] => [failure.id, failure]);
    this.#unreadable = await this.#notGivenUp([...damaged, ...failing], signal);
    return {
      all: all.metas,
      unreadable: this.#unreadable,
      metas,
      noCompact: new Set(noCompact.marks.keys()),
      noDownsample: new Set(noDownsample.marks.keys()),
      deletionMarks: deletion.marks,
      duplicates: duplicates.duplicates,
      partial: new Map([...partial, ...failing]),
    };
  }

  /** Without those that are marked for deletion, as far as that can be told. */
  async #notGivenUp(
    blocks: readonly (readonly [string, Error])[],
    signal: AbortSignal,
  ): Promise<Map<string, Error>> {
    const left = new Map(blocks);
    await concurrently(MARK_CONCURRENCY, left.keys().toArray(), signal, async (id, inner) => {
      try {
        const mark = await readMark(this.#effects.bucket, id, 'deletion', inner);
        if (mark !== undefined) left.delete(id);
      } catch {
        inner.throwIfAborted();
      }
    });
    return left;
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
