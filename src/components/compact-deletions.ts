import type { SeriesDeletionApi } from '#/api/series-deletions.ts';
import type { DeletionView } from '#/blocks/deletion-view.ts';
import { cancelDeletion, newDeletion, putDeletion } from '#/blocks/series-deletions.ts';
import type { DeletionQueue } from '#/compact/deletion-queue.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { Runtime } from './runtime.ts';

export interface SeriesDeletionConfig {
  /** How long a deletion stays in force at least, for blocks with older data that are yet to come. */
  readonly keepMs: number;
  /** Whether series may be deleted through the API. */
  readonly adminApi: boolean;
}

/** What the compactor's API does about deletions of series. */
export function compactDeletionApi(
  enabled: boolean,
  parts: {
    readonly queue: DeletionQueue;
    readonly deletions: DeletionView;
    readonly bucket: Bucket;
  },
  { clock, random, log }: Pick<Runtime, 'clock' | 'random' | 'log'>,
): SeriesDeletionApi {
  const { queue, deletions, bucket } = parts;
  return {
    enabled,
    create: (wanted) => newDeletion(wanted, { clock, random }),
    put: async (request, signal) => {
      await putDeletion(bucket, request, signal);
      const { id, selectors, author, reason } = request;
      log.info('series deleted', { id, selectors, author, reason });
    },
    preview: (request, signal) => queue.preview(request, signal),
    list: async (signal) => {
      const statuses = await queue.statuses(signal);
      return { statuses, unreadable: deletions.unreadable };
    },
    cancel: async (id, signal) => {
      await cancelDeletion(bucket, id, signal);
      log.info('deletion of series taken back', { id });
    },
  };
}
