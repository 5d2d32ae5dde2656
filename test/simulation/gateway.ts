import { BucketIndexReader } from '#/blocks/bucket-index-reader.ts';
import { DeletionView } from '#/blocks/deletion-view.ts';
import { BlockFetcher } from '#/blocks/fetcher.ts';
import { consistencyDelay, DeduplicateFilter, MarkFilter } from '#/blocks/filters.ts';
import { LruByteCache } from '#/cache/lru.ts';
import type { Runtime } from '#/components/runtime.ts';
import { every } from '#/lib/clock.ts';
import { messageOf } from '#/lib/errors.ts';
import { Gate } from '#/lib/gate.ts';
import { untilSuccess } from '#/lib/retry.ts';
import { together } from '#/lib/together.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { BucketBlocks } from '#/storeapi/bucket-blocks.ts';
import { BucketStore } from '#/storeapi/bucket-store.ts';
import { ITEM_TYPES, indexCacheOver } from '#/storeapi/index-cache.ts';
import type { Store } from '#/storeapi/store.ts';
import { HOUR_MS, MINUTE_MS } from './truth.ts';

const DIRECTORY = '/store';

/** A view of deletions that is older makes answers incomplete. */
export const DELETIONS_MAX_AGE_MS = HOUR_MS;

export interface GatewayOptions {
  readonly listing: 'concurrent' | 'recursive' | 'bucket-index';
  readonly ignoreDeletionMarksDelayMs: number;
  readonly consistencyDelayMs: number;
  /** Given the store when it is ready to be asked. */
  readonly onReady: (store: Store) => void;
}

/** A store gateway as `components/store.ts` composes it, without its servers. */
export async function runGateway(
  { listing, ignoreDeletionMarksDelayMs, consistencyDelayMs, onReady }: GatewayOptions,
  bucket: Bucket,
  { clock, disk, log, metrics, signal }: Runtime,
): Promise<void> {
  const viewer = new BlockFetcher({
    bucket,
    listing:
      listing === 'bucket-index'
        ? new BucketIndexReader({ bucket, maxAgeMs: HOUR_MS, clock, log, metrics })
        : listing,
    concurrency: 4,
    cacheDirectory: DIRECTORY,
    clock,
    disk,
    log,
    metrics,
  }).view([
    consistencyDelay(consistencyDelayMs, { clock, metrics }),
    MarkFilter.deletion({
      bucket,
      concurrency: 4,
      delayMs: ignoreDeletionMarksDelayMs,
      clock,
      log,
    }),
    new DeduplicateFilter(),
  ]);
  const cache = new LruByteCache({ maxBytes: 1e5, maxItemBytes: 1e4, clock });
  const blocks = new BucketBlocks({
    find: async (of) => {
      const { metas, failures } = await viewer.fetch(of);
      return { metas: [...metas.values()], failures };
    },
    bucket,
    disk,
    directory: DIRECTORY,
    indexCache: indexCacheOver(cache, ITEM_TYPES, { clock, metrics }),
    headerCacheBytes: 1e5,
    eagerHeaders: false,
    concurrency: 4,
    log,
    metrics,
  });
  const deletions = new DeletionView({
    bucket,
    maxAgeMs: DELETIONS_MAX_AGE_MS,
    clock,
    log,
    metrics,
  });
  const failed = (thrown: unknown) => log.warn('no first look', { err: messageOf(thrown) });
  const look = async (of: AbortSignal) => {
    await deletions.sync(of);
    await blocks.sync(of);
  };
  await untilSuccess(clock, MINUTE_MS, signal, () => look(signal), failed);
  onReady(
    new BucketStore({
      blocks,
      deletions,
      limits: { series: 0, samples: 0, bytes: 0 },
      gate: new Gate(0),
      timeRange: () => ({ mint: MIN_TIME, maxt: MAX_TIME }),
      log,
      metrics,
    }),
  );
  const follow = (sync: (of: AbortSignal) => Promise<void>) => (followed: AbortSignal) =>
    every(clock, 20 * MINUTE_MS, followed, async (of) => {
      try {
        await sync(of);
      } catch (thrown) {
        of.throwIfAborted();
        log.warn('cannot look into the bucket', { err: messageOf(thrown) });
      }
    });
  await together(signal, [follow((of) => blocks.sync(of)), follow((of) => deletions.sync(of))]);
}
