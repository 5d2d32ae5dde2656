import { deleteBlock, metaName } from '#/blocks/block-files.ts';
import { markName, readMark } from '#/blocks/markers.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { CorruptionError, NotFoundError, messageOf } from '#/lib/errors.ts';
import { isUlid, ulidTimeMs } from '#/lib/ulid.ts';
import { LEASES_DIRECTORY } from './bucket-leases.ts';
import type { BucketSnapshot, BucketView } from './bucket-view.ts';
import type { JobContext } from './job-context.ts';
import type { PassResult } from './pass-result.ts';
import { waitsForSuccessor } from './unreadable.ts';

/** Blocks that are deleted at once. */
const CONCURRENCY = 32;
/** How long nothing of an upload must have changed before it counts as given up. */
export const PARTIAL_UPLOAD_AGE_MS = 48 * 3_600_000;
const LEASE_AGE_MS = 48 * 3_600_000;
/** An empty object, by whose date the bucket tells the time. */
const CLOCK_NAME = 'hindsight/clock';

export interface CleanerOptions {
  /** Between a block's deletion mark and its deletion. */
  readonly deleteDelayMs: number;
  /** Blocks that a job is reading right now; they wait for the next pass. */
  readonly isBusy?: (id: string) => boolean;
  /** Told of each block that was looked at, one of `total` in this pass. */
  readonly onBlock?: (id: string, total: number) => void;
}

/** What cleaning needs of a compactor. */
export type CleanerContext = Pick<JobContext, 'bucket' | 'clock' | 'log' | 'metrics'>;

/**
 * The queue of cleaning: every pass deletes blocks whose deletion mark is old enough, goes on with
 * deletions that broke off, and removes what uploads that were given up left behind.
 *
 * Ages must be reached by two clocks: this machine's, and that of the bucket, which dates every object
 * itself. So neither a marker nor a cleaner whose clock is wrong deletes anything early. A block whose
 * `meta.json` is there but damaged is no upload: it is deleted only if it is marked.
 */
export class Cleaner {
  readonly #view: BucketView;
  readonly #context: CleanerContext;
  readonly #options: CleanerOptions;

  constructor(view: BucketView, context: CleanerContext, options: CleanerOptions) {
    this.#view = view;
    this.#context = context;
    this.#options = options;
  }

  /** @throws UnavailableError without a view on the whole bucket. */
  async pass(signal: AbortSignal): Promise<PassResult> {
    const { metrics, log } = this.#context;
    const snapshot = await this.#view.sync(signal);
    const failures: string[] = [];
    const ids = this.#candidates(snapshot);
    if (ids.length > 0) {
      const bucketNowMs = await this.#bucketNowMs(signal);
      await concurrently(CONCURRENCY, ids, signal, async (id, inner) => {
        try {
          await this.#clean(id, snapshot, bucketNowMs, inner);
        } catch (thrown) {
          signal.throwIfAborted();
          metrics.blockCleanupFailures.inc();
          const message = `block ${id} cannot be deleted: ${messageOf(thrown)}`;
          log.warn('a block cannot be deleted; trying again', { block: id, err: thrown });
          failures.push(message);
        }
        this.#options.onBlock?.(id, ids.length);
      });
    }
    await this.#cleanLeases(signal);
    if (failures.length === 0) metrics.cleanupLoops.inc();
    return { worked: 0, elsewhere: 0, failures };
  }

  /** What may be due by this machine's clock; the bucket is asked about those alone. */
  #candidates({ deletionMarks, partial }: BucketSnapshot): string[] {
    const isBusy = this.#options.isBusy ?? (() => false);
    const marked = [...deletionMarks].filter(([, mark]) => this.#isOver(mark.timeMs));
    const ids = new Set([...marked.map(([id]) => id), ...partial.keys()]);
    return [...ids].filter((id) => !isBusy(id));
  }

  async #clean(
    id: string,
    snapshot: BucketSnapshot,
    bucketNowMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { bucket, metrics, log } = this.#context;
    // It may have been taken back since.
    const mark = await this.#readMark(id, signal);
    if (mark !== undefined) {
      if (!this.#isOver(mark.timeMs)) return;
      if (waitsForSuccessor(id, mark, snapshot)) {
        log.warn(
          'a block is kept past its deletion: its successor may be one that cannot be read',
          {
            block: id,
            unreadable: [...snapshot.unreadable.keys()],
          },
        );
        return;
      }
      const attributes = await bucket.attributes(markName(id, 'deletion'), { signal });
      if (attributes === undefined) return;
      if (bucketNowMs - attributes.modifiedMs < this.#options.deleteDelayMs) return;
      await deleteBlock(bucket, id, signal);
      metrics.blocksCleaned.inc();
      log.info('deleted block marked for deletion', { block: id, details: mark.details });
    } else if (snapshot.partial.get(id) instanceof NotFoundError) {
      await this.#cleanPartial(id, bucketNowMs, signal);
    }
  }

  /** A mark that cannot be read counts as none, as everywhere. */
  async #readMark(id: string, signal: AbortSignal) {
    try {
      return await readMark(this.#context.bucket, id, 'deletion', signal);
    } catch (thrown) {
      if (thrown instanceof CorruptionError) return undefined;
      throw thrown;
    }
  }

  /** Objects without a `meta.json`: nobody reads them, and whoever uploads changes one now and then. */
  async #cleanPartial(id: string, bucketNowMs: number, signal: AbortSignal): Promise<void> {
    const { bucket, clock, metrics, log } = this.#context;
    const options = { reason: 'deletion', signal } as const;
    const names: string[] = [];
    let newestMs = Number.NEGATIVE_INFINITY;
    for await (const entry of bucket.list(`${id}/`, { recursive: true, ...options })) {
      const modifiedMs =
        entry.modifiedMs ?? (await bucket.attributes(entry.name, options))?.modifiedMs;
      newestMs = Math.max(newestMs, modifiedMs ?? Number.POSITIVE_INFINITY);
      names.push(entry.name);
    }
    if (names.length === 0) newestMs = isUlid(id) ? ulidTimeMs(id) : Number.POSITIVE_INFINITY;
    const nowMs = Math.min(clock.now(), bucketNowMs);
    if (nowMs - newestMs <= PARTIAL_UPLOAD_AGE_MS) return;
    // It may have been completed since; then it is a block like any other.
    if ((await bucket.attributes(metaName(id), options)) !== undefined) return;
    metrics.partialDeletionAttempts.inc();
    for (const name of names) await bucket.remove(name, options);
    metrics.blocksCleaned.inc();
    log.info('deleted aborted partial upload', { block: id, objects: names.length });
  }

  /** Leases of jobs that are long done; those of jobs that run change all the time. */
  async #cleanLeases(signal: AbortSignal): Promise<void> {
    const { bucket, clock } = this.#context;
    const options = { reason: 'deletion', signal } as const;
    const old: string[] = [];
    for await (const { name, modifiedMs } of bucket.list(`${LEASES_DIRECTORY}/`, options)) {
      if (modifiedMs !== undefined && clock.now() - modifiedMs > LEASE_AGE_MS) old.push(name);
    }
    if (old.length === 0) return;
    const bucketNowMs = await this.#bucketNowMs(signal);
    for (const name of old) {
      const attributes = await bucket.attributes(name, options);
      if (attributes === undefined || bucketNowMs - attributes.modifiedMs <= LEASE_AGE_MS) continue;
      await bucket.remove(name, options);
    }
  }

  #isOver(markedMs: number): boolean {
    return this.#context.clock.now() - markedMs >= this.#options.deleteDelayMs;
  }

  /** What time it is for the bucket. Others may write too, but only after this call began. */
  async #bucketNowMs(signal: AbortSignal): Promise<number> {
    const { bucket } = this.#context;
    const options = { reason: 'deletion', signal } as const;
    await bucket.upload(CLOCK_NAME, new Uint8Array(), options);
    return (await bucket.attributes(CLOCK_NAME, options))?.modifiedMs ?? Number.NEGATIVE_INFINITY;
  }
}
