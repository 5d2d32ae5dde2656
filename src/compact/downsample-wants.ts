import { openBlockIndex } from '#/blocks/check-block.ts';
import { messageOf } from '#/lib/errors.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { compileDeletion } from '#/tsdb/series-deletion.ts';
import type { BucketSnapshot } from './bucket-view.ts';
import type { DownsampleAges, DownsampleJob } from './downsample-plan.ts';
import type { JobContext } from './job-context.ts';
import { MatchingSeries } from './matching-series.ts';
import { classesThatWant } from './retention-plan.ts';
import type { RetentionRule, Retentions, SeriesClass } from './retention-rules.ts';

export interface WantsOptions {
  readonly retentions: Retentions;
  readonly rules: readonly RetentionRule[];
  readonly ages: DownsampleAges;
}

/**
 * Whether downsampling a block has any use. A block whose downsampled data are past their retention has
 * none any more, and would be downsampled in every pass, for retention to take the result again.
 */
export class DownsampleWants {
  readonly #context: Pick<JobContext, 'bucket' | 'clock' | 'log'>;
  readonly #options: WantsOptions;
  /** Whether a block has series of some classes: by its ULID, then by the classes. */
  readonly #known = new Map<string, Map<string, boolean>>();

  constructor(context: Pick<JobContext, 'bucket' | 'clock' | 'log'>, options: WantsOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** The jobs that have a use. Where only some series would have one, the index says whether there are any. */
  async of(
    jobs: readonly DownsampleJob[],
    blocks: BucketSnapshot,
    signal: AbortSignal,
  ): Promise<DownsampleJob[]> {
    const input = { ...this.#options, blocks, nowMs: this.#context.clock.now() };
    for (const id of this.#known.keys()) if (!blocks.metas.has(id)) this.#known.delete(id);
    const wanted: DownsampleJob[] = [];
    const wants = classesThatWant(
      jobs.map(({ block }) => block),
      input,
    );
    for (const job of jobs) {
      const { wanting, isAll } = wants.get(job.block)!;
      if (wanting.length === 0) continue;
      if (isAll || (await this.#hasAny(job.block, wanting, signal))) wanted.push(job);
    }
    return wanted;
  }

  async #hasAny(
    block: BlockMeta,
    classes: readonly SeriesClass[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const key = classes.map(({ id }) => id).join();
    const known = this.#known.getOrInsertComputed(block.ulid, () => new Map());
    const answer = known.get(key);
    if (answer !== undefined) return answer;
    try {
      const index = new MatchingSeries(
        await openBlockIndex(this.#context.bucket, block.ulid, signal),
      );
      const deletions = classes.flatMap((one) => one.deletions).map(compileDeletion);
      const found = (await index.of(deletions, signal)).length > 0;
      known.set(key, found);
      return found;
    } catch (thrown) {
      signal.throwIfAborted();
      // Downsampling itself says what is wrong with the block.
      this.#context.log.debug('the index of a block cannot be looked at', {
        block: block.ulid,
        err: messageOf(thrown),
      });
      return true;
    }
  }
}
