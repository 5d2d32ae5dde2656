import { formatGoDuration } from '#/model/time.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BucketSnapshot, BucketView } from './bucket-view.ts';
import { markForDeletion } from './compaction-job.ts';
import type { DownsampleAges } from './downsample-plan.ts';
import { resolutionOf } from './downsample-plan.ts';
import type { JobContext, JobOptions } from './job-context.ts';
import type { PassResult } from './pass-result.ts';
import { planRetention } from './retention-plan.ts';
import type { RetentionPlan, Retentions } from './retention-plan.ts';

export interface RetentionQueueOptions {
  readonly retentions: Retentions;
  readonly ages: DownsampleAges | undefined;
}

/** What retention needs of a compactor. */
export type RetentionContext = Pick<JobContext, 'bucket' | 'clock' | 'log' | 'metrics'> & {
  readonly options: Pick<JobOptions, 'ranges'>;
};

/** How many blocks are past their retention and not marked yet. */
export interface RetentionBacklog {
  readonly expired: number;
  /** Kept, because coarser ones are still to be made of them. */
  readonly held: number;
}

/** The queue of retention: every pass marks the blocks whose time is over, but for those still needed. */
export class RetentionQueue {
  readonly #view: BucketView;
  readonly #context: RetentionContext;
  readonly #options: RetentionQueueOptions;
  #backlog: RetentionBacklog = { expired: 0, held: 0 };

  constructor(view: BucketView, context: RetentionContext, options: RetentionQueueOptions) {
    this.#view = view;
    this.#context = context;
    this.#options = options;
  }

  /** As the last look at the bucket found it. */
  get backlog(): RetentionBacklog {
    return this.#backlog;
  }

  /** @throws UnavailableError without a view on the whole bucket, or if a mark cannot be written. */
  async pass(signal: AbortSignal): Promise<PassResult> {
    const { log } = this.#context;
    const { expired, held } = await this.preview(signal);
    for (const block of expired) {
      await markForDeletion(block.ulid, this.reason(block), this.#context, signal);
    }
    for (const { ulid } of held) {
      log.info('block is kept past its retention: it is still to be downsampled', { block: ulid });
    }
    this.#backlog = { expired: 0, held: held.length };
    return { worked: 0, elsewhere: 0, failures: [] };
  }

  /** What a pass would do now. @throws UnavailableError without a view on the whole bucket. */
  async preview(signal: AbortSignal): Promise<RetentionPlan> {
    return this.#plan(await this.#view.sync(signal));
  }

  /** Why a block is marked for deletion when its time is over. */
  reason(block: BlockMeta): string {
    const retentionMs = this.#options.retentions.get(resolutionOf(block)) ?? 0;
    return `block exceeding retention of ${formatGoDuration(retentionMs)}`;
  }

  /** Looks at the bucket for what is left to be done, and does nothing. */
  async showProgress(signal: AbortSignal): Promise<void> {
    const { expired, held } = await this.preview(signal);
    this.#backlog = { expired: expired.length, held: held.length };
  }

  #plan(blocks: BucketSnapshot): RetentionPlan {
    const { clock, options } = this.#context;
    return planRetention({
      blocks,
      retentions: this.#options.retentions,
      ages: this.#options.ages,
      ...(options.ranges === undefined ? {} : { ranges: options.ranges }),
      nowMs: clock.now(),
    });
  }
}
