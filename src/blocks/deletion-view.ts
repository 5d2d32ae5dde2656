import { concurrently } from '#/lib/concurrently.ts';
import { NotFoundError, UnavailableError, messageOf } from '#/lib/errors.ts';
import type { Clock } from '#/lib/clock.ts';
import { isUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { appliedDeletions } from '#/tsdb/block-rewrites.ts';
import { deletionWithin } from '#/tsdb/series-deletion.ts';
import type { SeriesDeletion } from '#/tsdb/series-deletion.ts';
import { DELETIONS_DIRECTORY, decodeDeletion, deletionName } from './series-deletions.ts';
import type { DeletionRequest } from './series-deletions.ts';

export interface DeletionViewOptions {
  readonly bucket: Bucket;
  /** How old the view may become before it says that it is. */
  readonly maxAgeMs: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  readonly metrics: Metrics;
}

const READS = 8;

/**
 * The deletions of series that are asked for in a bucket, as of the last look at them. One request (a
 * listing) a look while nothing changes. What cannot be read is never passed over: see `troubles`.
 */
export class DeletionView {
  readonly #options: DeletionViewOptions;
  readonly #metrics;
  #requests: ReadonlyMap<string, DeletionRequest> = new Map();
  #unreadable: ReadonlyMap<string, string> = new Map();
  #seenMs = Number.NEGATIVE_INFINITY;
  #trouble = 'it has not been tried yet';
  /** What is known of blocks for the present requests. */
  #within = new WeakMap<BlockMeta, readonly SeriesDeletion[]>();

  constructor(options: DeletionViewOptions) {
    this.#options = { ...options, bucket: withReason(options.bucket, 'sync') };
    const { metrics } = options;
    this.#metrics = {
      requests: metrics.gauge({
        name: 'hindsight_series_deletions',
        help: 'Deletions of series in the bucket that are honoured.',
      }),
      unreadable: metrics.gauge({
        name: 'hindsight_series_deletions_unreadable',
        help: 'Deletions of series in the bucket that cannot be read: what they delete is still answered, with a warning.',
      }),
      failures: metrics.counter({
        name: 'hindsight_series_deletion_sync_failures_total',
        help: 'Looks for deletions of series in the bucket that failed.',
      }),
    };
  }

  /** In the order in which they were asked for. */
  get requests(): readonly DeletionRequest[] {
    return [...this.#requests.values()];
  }

  /** Requests that cannot be read, and why: damaged, or of a later version. */
  get unreadable(): ReadonlyMap<string, string> {
    return this.#unreadable;
  }

  /** Why answers may have samples in them that somebody deleted; empty while all is well. */
  get troubles(): readonly string[] {
    const { clock, maxAgeMs } = this.#options;
    const unreadable = Array.from(
      this.#unreadable.values(),
      (message) => `a deletion of series is not honoured: ${message}`,
    );
    if (clock.now() - this.#seenMs <= maxAgeMs) return unreadable;
    return [
      ...unreadable,
      `deletions of series of the last minutes are not honoured, since they cannot be listed: ${this.#trouble}`,
    ];
  }

  /** What is deleted of a block and still in it; nothing for most. Costs nothing the second time. */
  of(meta: BlockMeta): readonly SeriesDeletion[] {
    if (this.#requests.size === 0) return none;
    let within = this.#within.get(meta);
    if (within === undefined) {
      within = pendingDeletions(meta, this.#requests.values());
      this.#within.set(meta, within);
    }
    return within;
  }

  /**
   * Looks at the bucket. A request that cannot be read is told of by `troubles` and tried again at the
   * next look.
   * @throws UnavailableError if they cannot be listed; then the view is what it was.
   */
  async sync(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const startMs = clock.now();
    try {
      const { requests, unreadable } = await this.#look(signal);
      this.#take(requests);
      this.#unreadable = unreadable;
      this.#seenMs = startMs;
      this.#metrics.requests.set(requests.size);
      this.#metrics.unreadable.set(unreadable.size);
    } catch (thrown) {
      signal.throwIfAborted();
      this.#metrics.failures.inc();
      this.#trouble = messageOf(thrown);
      throw new UnavailableError(`deletions of series cannot be listed: ${this.#trouble}`, {
        cause: thrown,
      });
    }
  }

  async #look(signal: AbortSignal) {
    const { bucket, log } = this.#options;
    const requests = new Map<string, DeletionRequest>();
    const unreadable = new Map<string, string>();
    const take = async (id: string, inner: AbortSignal) => {
      try {
        const request = this.#requests.get(id) ?? (await this.#read(id, inner));
        if (request !== undefined) requests.set(id, request);
      } catch (thrown) {
        inner.throwIfAborted();
        const message = messageOf(thrown);
        unreadable.set(id, message);
        if (this.#unreadable.get(id) !== message) {
          log.error('a deletion of series cannot be read and is not honoured', { err: message });
        }
      }
    };
    const listed = new Set<string>();
    const listing = bucket.list(`${DELETIONS_DIRECTORY}/`, { signal });
    await concurrently(READS, listing, signal, async ({ name }, inner) => {
      const id = name.slice(DELETIONS_DIRECTORY.length + 1);
      if (!isUlid(id)) return;
      listed.add(id);
      await take(id, inner);
    });
    // A listing may lag behind: what misses in it is gone only if it is not there when asked for.
    const missing = [...this.#requests.keys()].filter((id) => !listed.has(id));
    await concurrently(READS, missing, signal, async (id, inner) => {
      const found = await bucket.attributes(deletionName(id), { signal: inner });
      if (found !== undefined) await take(id, inner);
    });
    return { requests, unreadable };
  }

  /** `undefined` if it is gone again. */
  async #read(id: string, signal: AbortSignal): Promise<DeletionRequest | undefined> {
    const { bucket } = this.#options;
    try {
      const bytes = await bucket.read(deletionName(id), { fresh: true, signal });
      return decodeDeletion(bytes, id, bucket.name);
    } catch (thrown) {
      if (thrown instanceof NotFoundError) return undefined;
      throw thrown;
    }
  }

  #take(requests: ReadonlyMap<string, DeletionRequest>): void {
    const { log } = this.#options;
    const added = [...requests.keys()].filter((id) => !this.#requests.has(id));
    const gone = [...this.#requests.keys()].filter((id) => !requests.has(id));
    if (added.length === 0 && gone.length === 0) return;
    for (const id of added) {
      log.info('deletion of series found', { id, selectors: requests.get(id)!.selectors });
    }
    for (const id of gone) log.info('deletion of series is gone', { id });
    this.#requests = new Map([...requests].sort(([a], [b]) => (a < b ? -1 : 1)));
    this.#within = new WeakMap();
  }
}

const none: readonly SeriesDeletion[] = [];

/** Which of the requests select a block that does not tell that they were applied, and what in it. */
export function pendingDeletions(
  meta: BlockMeta,
  requests: Iterable<DeletionRequest>,
): readonly SeriesDeletion[] {
  const applied = appliedDeletions(meta);
  const pending: SeriesDeletion[] = [];
  for (const request of requests) {
    if (!applied.has(request.id)) pending.push(...deletionsWithin(request, meta));
  }
  return pending.length === 0 ? none : pending;
}

/** Whether a request is about the time and the external labels of a block. */
export function selectsBlock(request: DeletionRequest, meta: BlockMeta): boolean {
  return deletionsWithin(request, meta).length > 0;
}

function deletionsWithin(
  { id, matchers, mint, maxt }: DeletionRequest,
  { minTime, maxTime, thanos }: BlockMeta,
): readonly SeriesDeletion[] {
  if (mint >= maxTime || maxt < minTime) return none;
  const labels = Labels.fromObject(thanos?.labels ?? {});
  const resolutionMs = thanos?.downsample.resolution ?? 0;
  return matchers.flatMap((selector) => {
    const whole = { id, matchers: selector, intervals: [{ mint, maxt }] };
    return deletionWithin(whole, labels, resolutionMs) ?? [];
  });
}
