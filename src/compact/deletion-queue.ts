import { deletionExtent } from '#/blocks/deletion-extent.ts';
import { deletionStatuses, previewDeletion } from '#/blocks/deletion-report.ts';
import type { BlockExtent, DeletionStatus } from '#/blocks/deletion-report.ts';
import { pendingDeletions } from '#/blocks/deletion-view.ts';
import type { DeletionView } from '#/blocks/deletion-view.ts';
import { checkComplete } from '#/blocks/fetcher.ts';
import type { BlockFetcher } from '#/blocks/fetcher.ts';
import { cancelDeletion } from '#/blocks/series-deletions.ts';
import type { DeletionRequest } from '#/blocks/series-deletions.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { NotFoundError, messageOf } from '#/lib/errors.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { plainDeletion } from '#/tsdb/series-deletion.ts';
import type { PlainDeletion } from '#/tsdb/series-deletion.ts';
import type { BlockRewriter } from './block-rewriter.ts';
import type { BucketView } from './bucket-view.ts';
import { resolutionOf } from './downsample-plan.ts';
import type { JobContext } from './job-context.ts';
import type { PassResult } from './pass-result.ts';
import type { RewriteJob } from './rewrite-job.ts';

export interface DeletionQueueOptions {
  readonly deletions: DeletionView;
  /** Shows all blocks of the bucket, which costs as much as a synchronization of the view. */
  readonly fetcher: Pick<BlockFetcher, 'fetch'>;
  readonly rewriter: BlockRewriter;
  /** How long a deletion stays in force at least, for blocks with older data that are yet to come. */
  readonly keepMs: number;
  /** Blocks that are rewritten at once. */
  readonly concurrency: number;
  /** Blocks that another job is at. */
  readonly isBusy: (ulid: string) => boolean;
}

/**
 * The queue of deletions of series: every pass rewrites the blocks, of all resolutions, that still have
 * something of what was deleted, and removes the deletions that are over. A deletion is over when no block in
 * the bucket has anything of it, and `keepMs` have passed since it was asked for.
 *
 * Compaction and downsampling wait for it (`holds`): what they make of blocks has other external labels, or
 * windows in which deleted samples cannot be told apart any more.
 */
export class DeletionQueue {
  readonly #view: BucketView;
  readonly #context: JobContext;
  readonly #options: DeletionQueueOptions;
  /** By ULID of a block: deletions that it was found to have nothing of. */
  readonly #clean = new Map<string, Set<string>>();

  constructor(view: BucketView, context: JobContext, options: DeletionQueueOptions) {
    this.#view = view;
    this.#context = context;
    this.#options = options;
  }

  /**
   * Looks for deletions.
   * @throws UnavailableError if they cannot be seen: then nothing must be made of blocks.
   */
  async look(signal: AbortSignal): Promise<void> {
    const { deletions } = this.#options;
    await deletions.sync(signal);
    if (deletions.requests.length === 0) this.#clean.clear();
  }

  /** Whether a block has to be rewritten first, or may have to, as of the last look and the view. */
  holds(ulid: string): boolean {
    if (this.#options.deletions.requests.length === 0) return false;
    const meta = this.#view.all.get(ulid);
    return meta === undefined || this.#pending(meta).length > 0;
  }

  /** @throws UnavailableError without a view on the whole bucket. */
  async pass(signal: AbortSignal): Promise<PassResult> {
    await this.look(signal);
    const { deletions, rewriter, concurrency } = this.#options;
    const failures = [...deletions.unreadable.values()];
    if (deletions.requests.length === 0) {
      await rewriter.expect('deletion', []);
      return { worked: 0, elsewhere: 0, failures };
    }
    const jobs = await this.#jobs(failures, signal);
    await rewriter.expect('deletion', jobs);
    const counts = { worked: 0, elsewhere: 0 };
    await concurrently(concurrency, jobs, signal, async (job, inner) => {
      const done = await rewriter.rewrite(job, inner);
      if (done.kind === 'unchanged') this.#noteClean(job.block.ulid, job.deletions);
      else if (done.kind === 'failed') failures.push(done.message);
      else if (done.kind === 'elsewhere') counts.elsewhere++;
      else if (done.kind !== 'superseded') counts.worked++;
    });
    if (counts.worked === 0) await this.#removeOver(signal);
    return { ...counts, failures };
  }

  /** How the deletions stand. @throws UnavailableError without a view on the whole bucket. */
  async statuses(signal: AbortSignal): Promise<readonly DeletionStatus[]> {
    await this.look(signal);
    const { requests } = this.#options.deletions;
    if (requests.length === 0) return [];
    return deletionStatuses(
      requests,
      await this.#allBlocks(signal),
      ({ ulid }, { id }) => this.#clean.get(ulid)?.has(id) === true,
    );
  }

  /** What a deletion would take. @throws UnavailableError without a view on the whole bucket. */
  async preview(request: DeletionRequest, signal: AbortSignal): Promise<readonly BlockExtent[]> {
    const all = await this.#allBlocks(signal);
    return previewDeletion(request, all, this.#context.bucket, signal);
  }

  async #allBlocks(signal: AbortSignal): Promise<readonly BlockMeta[]> {
    const view = await this.#options.fetcher.fetch(signal);
    checkComplete(view);
    return [...view.metas.values()];
  }

  /** Finer resolutions first: then what is downsampled meanwhile is so of what is right. */
  async #jobs(failures: string[], signal: AbortSignal): Promise<RewriteJob[]> {
    const { isBusy, concurrency } = this.#options;
    const { metas, deletionMarks } = await this.#view.sync(signal);
    const jobs: RewriteJob[] = [];
    const candidates = [...metas.values()].filter(
      ({ ulid }) => !deletionMarks.has(ulid) && !isBusy(ulid),
    );
    await concurrently(concurrency, candidates, signal, async (block, inner) => {
      const stored = this.#view.all.get(block.ulid);
      if (stored === undefined) return;
      try {
        if (!(await this.#hasDeleted(stored, inner))) return;
      } catch (thrown) {
        inner.throwIfAborted();
        failures.push(`block ${block.ulid} cannot be looked into: ${messageOf(thrown)}`);
        return;
      }
      const deletions = this.#pending(stored).flatMap(plainDeletions);
      jobs.push({ block, deletions, reason: 'deletion' });
    });
    return jobs.sort((a, b) => resolutionOf(a.block) - resolutionOf(b.block));
  }

  /** Deletions that select the block by its time and labels and were neither applied nor found to be without effect. */
  #pending(meta: BlockMeta): readonly DeletionRequest[] {
    const clean = this.#clean.get(meta.ulid);
    const ids = new Set(this.#options.deletions.of(meta).map(({ id }) => id));
    return this.#options.deletions.requests.filter(
      ({ id }) => ids.has(id) && clean?.has(id) !== true,
    );
  }

  /** Looks into the block's index, once for each deletion. */
  async #hasDeleted(meta: BlockMeta, signal: AbortSignal): Promise<boolean> {
    const requests = this.#pending(meta);
    if (requests.length === 0) return false;
    const within = pendingDeletions(meta, requests);
    const options = { reason: 'compaction', signal } as const;
    const { series } = await deletionExtent(this.#context.bucket, meta, within, options);
    if (series > 0) return true;
    this.#noteClean(meta.ulid, requests);
    return false;
  }

  #noteClean(ulid: string, deletions: readonly { readonly id?: string }[]): void {
    const clean = this.#clean.getOrInsertComputed(ulid, () => new Set());
    for (const { id } of deletions) if (id !== undefined) clean.add(id);
  }

  /** Blocks that are not this compactor's, and those on their way out, count as well. */
  async #removeOver(signal: AbortSignal): Promise<void> {
    const { deletions, keepMs } = this.#options;
    const { bucket, clock, log } = this.#context;
    const old = deletions.requests.filter(({ createdMs }) => clock.now() - createdMs > keepMs);
    // What cannot be looked at may have something of them.
    if (old.length === 0 || this.#view.unreadable.size > 0) return;
    const all = await this.#allBlocks(signal);
    const ids = new Set(all.map(({ ulid }) => ulid));
    for (const ulid of this.#clean.keys()) if (!ids.has(ulid)) this.#clean.delete(ulid);
    for (const request of old) {
      if (await this.#isInAny(all, request, signal)) continue;
      try {
        await cancelDeletion(bucket, request.id, signal);
      } catch (thrown) {
        if (!(thrown instanceof NotFoundError)) throw thrown;
      }
      log.info('deletion of series is over: no block has anything of it', { id: request.id });
    }
  }

  async #isInAny(
    blocks: readonly BlockMeta[],
    { id }: DeletionRequest,
    signal: AbortSignal,
  ): Promise<boolean> {
    for (const meta of blocks) {
      const isPending = () => this.#pending(meta).some((request) => request.id === id);
      if (!isPending()) continue;
      try {
        await this.#hasDeleted(meta, signal);
      } catch (thrown) {
        signal.throwIfAborted();
        const [block, err] = [meta.ulid, messageOf(thrown)];
        this.#context.log.warn('a block cannot be looked into for deletions', { block, err });
      }
      if (isPending()) return true;
    }
    return false;
  }
}

function plainDeletions({ id, matchers, mint, maxt }: DeletionRequest): PlainDeletion[] {
  return matchers.map((selector) =>
    plainDeletion({ id, matchers: selector, intervals: [{ mint, maxt }] }),
  );
}
