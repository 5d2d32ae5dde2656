import { formatGoDuration } from '#/model/time.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BucketSnapshot, BucketView } from './bucket-view.ts';
import { markForDeletion } from './compaction-job.ts';
import type { DownsampleAges } from './downsample-plan.ts';
import { resolutionOf } from './downsample-plan.ts';
import type { JobContext, JobOptions } from './job-context.ts';
import type { PassResult } from './pass-result.ts';
import { blockBytes } from './progress.ts';
import { planRetention } from './retention-plan.ts';
import type { RetentionPlan, Retentions } from './retention-plan.ts';
import type { RetentionRule } from './retention-rules.ts';
import { ALL_SERIES_EXPIRED, describeLook, lookAtIndex } from './rule-retention.ts';
import type { RetentionLook, RuleRetention } from './rule-retention.ts';

export interface RetentionQueueOptions {
  /** For series that no rule selects. */
  readonly retentions: Retentions;
  readonly ages: DownsampleAges | undefined;
  /** Retentions of some series, and who rewrites blocks of which some are past theirs. */
  readonly rules?: readonly RetentionRule[];
  readonly rewriting?: RuleRetention;
  /** Only say in the log what would be done. */
  readonly dryRun?: boolean;
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

/** What a pass would do, block by block. */
export interface RetentionPreview extends Pick<RetentionPlan, 'expired' | 'held'> {
  /** Blocks of which some series go. */
  readonly rewritten: readonly RetentionLook[];
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
    if (this.#options.dryRun === true) return this.#tell(await this.preview(signal));
    const { log } = this.#context;
    const snapshot = await this.#view.sync(signal);
    const { expired, held, due } = this.#plan(snapshot);
    for (const block of expired) {
      await markForDeletion(block.ulid, this.reason(block), this.#context, signal);
    }
    for (const { ulid } of held) {
      log.info('block is kept past its retention: it is still to be downsampled', { block: ulid });
    }
    this.#backlog = { expired: 0, held: held.length };
    const rewritten = await this.#options.rewriting?.pass(due, snapshot.metas, signal);
    return rewritten ?? { worked: 0, elsewhere: 0, failures: [] };
  }

  /** What a pass would do now. @throws UnavailableError without a view on the whole bucket. */
  async preview(signal: AbortSignal): Promise<RetentionPreview> {
    const { expired, held, due } = this.#plan(await this.#view.sync(signal));
    const rewritten: RetentionLook[] = [];
    for (const one of due) {
      const look = await lookAtIndex(one, this.#context.bucket, signal);
      if (look.seriesGone > 0) rewritten.push(look);
    }
    return { expired, held, rewritten };
  }

  #tell({ expired, held, rewritten }: RetentionPreview): PassResult {
    const { log } = this.#context;
    for (const block of expired) {
      const { ulid, stats } = block;
      log.info('block would be marked for deletion', {
        block: ulid,
        details: this.reason(block),
        series: stats.numSeries,
        samples: stats.numSamples,
        bytes: blockBytes(block),
      });
    }
    for (const { ulid } of held) {
      log.info('block would be kept past its retention: it is still to be downsampled', {
        block: ulid,
      });
    }
    for (const look of rewritten) log.info(describeLook(look), { block: look.block.ulid });
    this.#backlog = { expired: expired.length, held: held.length };
    return { worked: 0, elsewhere: 0, failures: [] };
  }

  /** Why a block is marked for deletion when its time is over. */
  reason(block: BlockMeta): string {
    if ((this.#options.rules ?? []).length > 0) return ALL_SERIES_EXPIRED;
    const retentionMs = this.#options.retentions.get(resolutionOf(block)) ?? 0;
    return `block exceeding retention of ${formatGoDuration(retentionMs)}`;
  }

  /** Looks at the bucket for what is left to be done, and does nothing. */
  async showProgress(signal: AbortSignal): Promise<void> {
    const { expired, held } = this.#plan(await this.#view.sync(signal));
    this.#backlog = { expired: expired.length, held: held.length };
  }

  #plan(blocks: BucketSnapshot): RetentionPlan {
    const { clock, options } = this.#context;
    const { retentions, rules, ages } = this.#options;
    return planRetention({
      blocks,
      retentions,
      ages,
      ...(rules === undefined ? {} : { rules }),
      ...(options.ranges === undefined ? {} : { ranges: options.ranges }),
      nowMs: clock.now(),
    });
  }
}
