import { BlockFetcher } from '#/blocks/fetcher.ts';
import {
  consistencyDelay,
  DeduplicateFilter,
  KeepingFilter,
  labelShard,
  MarkFilter,
  removeReplicaLabels,
  streamShard,
  timePartition,
} from '#/blocks/filters.ts';
import { BucketView } from '#/compact/bucket-view.ts';
import type { Relabeling } from '#/model/relabel.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Runtime } from './runtime.ts';

export interface CompactViewConfig {
  readonly sync: {
    readonly listing: 'concurrent' | 'recursive';
    readonly metaConcurrency: number;
    /** Where metas that were read are kept; nowhere when absent. */
    readonly cacheDirectory?: string;
  };
  readonly filters: {
    readonly minTime: TimeOrDuration;
    readonly maxTime: TimeOrDuration;
    readonly consistencyDelayMs: number;
    readonly selector?: Relabeling;
    /** Which part of the streams is this compactor's; all when absent. */
    readonly shard?: { readonly index: number; readonly count: number };
  };
  /** Between a block's deletion mark and its deletion. */
  readonly deleteDelayMs: number;
  /** External labels that tell replicas apart. */
  readonly replicaLabels: readonly string[];
}

type FetchEffects = Pick<Runtime, 'clock' | 'disk' | 'log' | 'metrics'>;

/** Finds the blocks of a bucket, for a view through filters and for others. */
export function openCompactFetcher(
  { sync }: Pick<CompactViewConfig, 'sync'>,
  bucket: Bucket,
  { clock, disk, log, metrics }: FetchEffects,
): BlockFetcher {
  return new BlockFetcher({
    bucket,
    listing: sync.listing,
    concurrency: sync.metaConcurrency,
    ...(sync.cacheDirectory === undefined ? {} : { cacheDirectory: sync.cacheDirectory }),
    clock,
    disk,
    log,
    metrics,
  });
}

/** What a compactor, or a tool that does a part of its work, sees of a bucket: Thanos's filters in its order. */
export function openCompactView(
  config: CompactViewConfig,
  bucket: Bucket,
  effects: FetchEffects,
  fetcher = openCompactFetcher(config, bucket, effects),
): BucketView {
  const { clock, log, metrics } = effects;
  const { filters, sync, replicaLabels } = config;
  const marks = { bucket, concurrency: sync.metaConcurrency, log };
  const deletion = MarkFilter.deletion({ ...marks, delayMs: config.deleteDelayMs / 2, clock });
  const duplicates = new DeduplicateFilter();
  const noCompact = MarkFilter.noCompact(marks);
  const noDownsample = MarkFilter.noDownsample(marks);
  const all = new KeepingFilter();
  const viewer = fetcher.view([
    all,
    timePartition(
      () => filters.minTime(clock.now()),
      () => filters.maxTime(clock.now()),
    ),
    ...(filters.shard === undefined ? [] : [streamShard(filters.shard, replicaLabels)]),
    ...(filters.selector === undefined ? [] : [labelShard(filters.selector, replicaLabels)]),
    consistencyDelay(filters.consistencyDelayMs, { clock, metrics }),
    deletion,
    removeReplicaLabels(replicaLabels),
    duplicates,
    noCompact,
    noDownsample,
  ]);
  return new BucketView(
    viewer,
    { all, deletion, duplicates, noCompact, noDownsample },
    { bucket: withReason(bucket, 'sync'), clock, log },
  );
}
