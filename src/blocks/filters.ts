import { createHash } from 'node:crypto';
import type { Clock } from '#/lib/clock.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { CorruptionError, messageOf } from '#/lib/errors.ts';
import { isUlid, ulidTimeMs } from '#/lib/ulid.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { Labels } from '#/model/labels.ts';
import type { Relabeling } from '#/model/relabel.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { ZERO_TIME } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { SyncCounts, SyncState } from './fetch-metrics.ts';
import { readMark } from './markers.ts';
import type { Mark, MarkKind } from './markers.ts';

/** Takes blocks out of a view, or changes what the view says of them. */
export interface BlockFilter {
  /**
   * Changes `metas` in place and counts what it does. What it throws fails the synchronization.
   * `known` is what the look at the bucket already told of marks.
   */
  apply(
    metas: Map<string, BlockMeta>,
    counts: SyncCounts,
    signal: AbortSignal,
    known?: KnownMarks,
  ): Promise<void> | void;
}

/** What a look at the bucket tells of marks without reading each. */
export interface KnownMarks {
  /** A block's mark; `none` if it has none, `unread` if it has to be read to find out. */
  of(id: string, kind: MarkKind): Mark | 'none' | 'unread';
}

/** Label that carries a block's ULID while its external labels are relabeled. */
export const BLOCK_ID_LABEL = '__block_id';

function dropWhere(
  metas: Map<string, BlockMeta>,
  counts: SyncCounts,
  state: SyncState,
  isUnwanted: (meta: BlockMeta, id: string) => boolean,
): void {
  for (const [id, meta] of metas) {
    if (!isUnwanted(meta, id)) continue;
    metas.delete(id);
    counts.add(state);
  }
}

/**
 * Keeps the blocks that touch `[mint, maxt]`, milliseconds asked for anew at every synchronization,
 * because flags may be relative to the present.
 */
export function timePartition(mint: () => number, maxt: () => number): BlockFilter {
  return {
    apply(metas, counts) {
      const from = mint();
      const to = maxt();
      dropWhere(metas, counts, 'time-excluded', ({ minTime, maxTime }) => {
        return maxTime < from || minTime > to;
      });
    },
  };
}

/**
 * Keeps the blocks whose external labels, with `__block_id` and without `leftOut`, survive the
 * relabeling. Replica labels must be left out where a compactor shards: replicas of one stream have
 * to land on one compactor.
 */
export function labelShard(relabeling: Relabeling, leftOut: readonly string[] = []): BlockFilter {
  const without = new Set(leftOut);
  return {
    apply(metas, counts) {
      dropWhere(metas, counts, 'label-excluded', (meta, id) => {
        const external = Labels.fromObject(meta.thanos?.labels ?? {}).without(without);
        const kept = relabeling(external.with(BLOCK_ID_LABEL, id));
        return kept === undefined || kept.size === 0;
      });
    },
  };
}

/**
 * Keeps the blocks of the streams that fall to shard `index` of `count`: by a hash of their external
 * labels without `leftOut`, so that replicas, and all resolutions of a stream, go to the same.
 */
export function streamShard(
  { index, count }: { readonly index: number; readonly count: number },
  leftOut: readonly string[] = [],
): BlockFilter {
  const without = new Set(leftOut);
  return {
    apply(metas, counts) {
      dropWhere(metas, counts, 'label-excluded', ({ thanos }) => {
        const { key } = Labels.fromObject(thanos?.labels ?? {}).without(without);
        return createHash('sha256').update(key).digest().readUInt32BE(0) % count !== index;
      });
    },
  };
}

const SOURCES_WITHOUT_DELAY = new Set(['compactor', 'compactor.repair', 'bucket.repair']);

/**
 * Drops blocks uploaded less than `delayMs` ago, for object storage that takes a while to show all
 * of their files. Blocks made of others are let through, rewritten ones included, which wait in Thanos:
 * their inputs may go soon.
 */
export function consistencyDelay(
  delayMs: number,
  { clock, metrics }: { readonly clock: Pick<Clock, 'now'>; readonly metrics: Metrics },
): BlockFilter {
  metrics
    .gauge({
      name: 'thanos_consistency_delay_seconds',
      help: 'Configured consistency delay in seconds.',
    })
    .set(delayMs / 1000);
  return {
    apply(metas, counts) {
      const now = clock.now();
      dropWhere(metas, counts, 'too-fresh', (meta, id) => {
        const source = meta.thanos?.source ?? '';
        if (SOURCES_WITHOUT_DELAY.has(source) || source === 'bucket.rewrite') return false;
        return now - uploadedMs(meta, id) < delayMs;
      });
    },
  };
}

/** From the meta; for blocks of Prometheus and old ones from the ULID, which is older. */
function uploadedMs(meta: BlockMeta, id: string): number {
  const text = meta.thanos?.uploadTime ?? '';
  const parsed = text === '' || text === ZERO_TIME ? Number.NaN : Date.parse(text);
  if (!Number.isNaN(parsed)) return parsed;
  return isUlid(id) ? ulidTimeMs(id) : Number.NEGATIVE_INFINITY;
}

interface MarkFilterOptions {
  readonly bucket: Bucket;
  readonly concurrency: number;
  readonly log: Log;
}

/** Reads the marks of one kind of all blocks in view and keeps them for others to ask for. */
export class MarkFilter implements BlockFilter {
  readonly #kind: MarkKind;
  readonly #state: SyncState;
  readonly #options: MarkFilterOptions;
  readonly #drop: (mark: Mark) => boolean;
  #marks: ReadonlyMap<string, Mark> = new Map();

  private constructor(
    kind: MarkKind,
    state: SyncState,
    options: MarkFilterOptions,
    drop: (mark: Mark) => boolean,
  ) {
    this.#kind = kind;
    this.#state = state;
    this.#options = { ...options, bucket: withReason(options.bucket, 'sync') };
    this.#drop = drop;
  }

  /** Drops blocks that were marked for deletion more than `delayMs` ago. */
  static deletion(
    options: MarkFilterOptions & {
      readonly delayMs: number;
      readonly clock: Pick<Clock, 'now'>;
    },
  ): MarkFilter {
    return new MarkFilter('deletion', 'marked-for-deletion', options, (mark) => {
      return options.clock.now() - mark.timeMs > options.delayMs;
    });
  }

  /** Only gathers the marks. */
  static noCompact(options: MarkFilterOptions): MarkFilter {
    return new MarkFilter('no-compact', 'marked-for-no-compact', options, () => false);
  }

  /** Only gathers the marks. */
  static noDownsample(options: MarkFilterOptions): MarkFilter {
    return new MarkFilter('no-downsample', 'marked-for-no-downsample', options, () => false);
  }

  /** The marks found by the last synchronization, by ULID, those of dropped blocks included. */
  get marks(): ReadonlyMap<string, Mark> {
    return this.#marks;
  }

  async apply(
    metas: Map<string, BlockMeta>,
    counts: SyncCounts,
    signal: AbortSignal,
    known?: KnownMarks,
  ): Promise<void> {
    const { bucket, concurrency, log } = this.#options;
    const marks = new Map<string, Mark>();
    const unread: string[] = [];
    for (const id of metas.keys()) {
      const mark = known?.of(id, this.#kind) ?? 'unread';
      if (mark === 'unread') unread.push(id);
      else if (mark !== 'none') marks.set(id, mark);
    }
    await concurrently(concurrency, unread, signal, async (id, inner) => {
      try {
        const mark = await readMark(bucket, id, this.#kind, inner);
        if (mark !== undefined) marks.set(id, mark);
      } catch (thrown) {
        if (!(thrown instanceof CorruptionError)) throw thrown;
        log.warn('unreadable mark of a block; it counts as none', {
          block: id,
          err: messageOf(thrown),
        });
      }
    });
    this.#marks = marks;
    if (this.#kind !== 'deletion') counts.add(this.#state, marks.size);
    dropWhere(metas, counts, this.#state, (_meta, id) => {
      const mark = marks.get(id);
      return mark !== undefined && this.#drop(mark);
    });
  }
}

/** Changes nothing, and keeps the blocks as they are at its place among the filters. */
export class KeepingFilter implements BlockFilter {
  #metas: ReadonlyMap<string, BlockMeta> = new Map();

  /** As of the last synchronization, by ULID. */
  get metas(): ReadonlyMap<string, BlockMeta> {
    return this.#metas;
  }

  apply(metas: Map<string, BlockMeta>): void {
    this.#metas = new Map(metas);
  }
}

/**
 * Takes `replicaLabels` off the external labels, so that replicas look like one stream. Where none
 * is left, the first of them becomes `deduped`: a block must have a label.
 */
export function removeReplicaLabels(replicaLabels: readonly string[]): BlockFilter {
  const names = new Set(replicaLabels);
  return {
    apply(metas, counts) {
      const first = replicaLabels[0];
      if (first === undefined) return;
      for (const [id, meta] of metas) {
        if (meta.thanos === undefined) continue;
        const all = Object.entries(meta.thanos.labels);
        const kept = all.filter(([name]) => !names.has(name));
        counts.replicaLabelsRemoved += all.length - kept.length;
        const labels = kept.length === 0 ? { [first]: 'deduped' } : Object.fromEntries(kept);
        metas.set(id, { ...meta, thanos: { ...meta.thanos, labels } });
      }
    },
  };
}

/** Equal exactly for blocks that may be compacted with each other: same resolution, same labels. */
export function groupKey(meta: BlockMeta): string {
  const { labels = {}, downsample } = meta.thanos ?? {};
  return `${downsample?.resolution ?? 0}@${Labels.fromObject(labels).key}`;
}

/** Drops blocks whose data another block of their group has: all their sources are among its own. */
export class DeduplicateFilter implements BlockFilter {
  #duplicates: ReadonlyMap<string, string> = new Map();

  /** The blocks dropped by the last synchronization, each with one that has all of its data. */
  get duplicates(): ReadonlyMap<string, string> {
    return this.#duplicates;
  }

  apply(metas: Map<string, BlockMeta>, counts: SyncCounts): void {
    const groups = Map.groupBy(metas.values(), groupKey);
    const duplicates = new Map([...groups.values()].flatMap(duplicatesOf));
    this.#duplicates = duplicates;
    dropWhere(metas, counts, 'duplicate', (_meta, id) => duplicates.has(id));
  }
}

interface Block {
  readonly ulid: string;
  readonly sources: ReadonlySet<string>;
}

/** Blocks with most sources first, the older first among equals, as pkg/block/fetcher.go in Thanos. */
function duplicatesOf(group: readonly BlockMeta[]): [duplicate: string, larger: string][] {
  // Who has all of another's data overlaps it. Mostly nobody does, and sets of sources need not be made.
  if (!doOverlap(group)) return [];
  const bySize = group
    .map(({ ulid, compaction }): Block => ({ ulid, sources: new Set(compaction.sources) }))
    .sort((a, b) => b.sources.size - a.sources.size || compareUtf8(a.ulid, b.ulid));
  // Whoever covers a block has its first source; the index keeps this from being quadratic.
  const keptBySource = new Map<string, Block[]>();
  const duplicates: [string, string][] = [];
  for (const { ulid, sources } of bySize) {
    const first = sources.values().next().value;
    const larger =
      first === undefined ? keptBySource.values().next().value : keptBySource.get(first);
    const covering = larger?.find((other) => sources.isSubsetOf(other.sources));
    if (covering !== undefined) duplicates.push([ulid, covering.ulid]);
    else {
      for (const source of sources) keptBySource.getOrInsert(source, []).push({ ulid, sources });
    }
  }
  return duplicates;
}

function doOverlap(group: readonly BlockMeta[]): boolean {
  const byTime = group.toSorted((a, b) => a.minTime - b.minTime);
  return byTime.some(({ minTime }, i) => i > 0 && minTime < byTime[i - 1]!.maxTime);
}
