import { join } from 'node:path';
import { concurrently } from '#/lib/concurrently.ts';
import { messageOf } from '#/lib/errors.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BucketSnapshot, BucketView } from './bucket-view.ts';
import { downsampleKey, runDownsampling } from './downsample-job.ts';
import { planDownsampling } from './downsample-plan.ts';
import type { DownsampleAges, DownsampleJob } from './downsample-plan.ts';
import type { DownsampleWants } from './downsample-wants.ts';
import type { GroupBoard } from './group-board.ts';
import { GroupFault } from './group-fault.ts';
import { groupBlocks, resolutionLabel } from './grouper.ts';
import type { Group } from './grouper.ts';
import type { JobContext } from './job-context.ts';
import { removeStrangers } from './job-directory.ts';
import type { PassResult } from './pass-result.ts';
import { blockBytes, jobBacklog } from './progress.ts';
import type { Throughput } from './throughput.ts';

export interface DownsampleQueueOptions {
  readonly board: GroupBoard;
  readonly throughput: Throughput;
  readonly ages: DownsampleAges;
  /** Blocks that are worked at at once. */
  readonly concurrency: number;
  /** Blocks that a compaction is taking up right now: they would be downsampled for nothing. */
  readonly isBusy?: (block: BlockMeta) => boolean;
  /** Which jobs have any use; default all. */
  readonly wants?: DownsampleWants;
  /** Told of each block that was worked at, one of `total` in this pass. */
  readonly onBlock?: (id: string, total: number) => void;
}

/**
 * The queue of downsampling: every pass brings each block that is due to the next resolution. A block
 * that cannot be downsampled is left alone until it is gone or marked, and the others go on; on the
 * board each job is a group of one block.
 */
export class DownsampleQueue {
  readonly #view: BucketView;
  readonly #board: GroupBoard;
  readonly #context: JobContext;
  readonly #options: DownsampleQueueOptions;

  constructor(view: BucketView, context: JobContext, options: DownsampleQueueOptions) {
    this.#view = view;
    this.#board = options.board;
    this.#context = context;
    this.#options = options;
  }

  /** Every job that is due, after a look at the bucket. @throws UnavailableError without one. */
  async pass(signal: AbortSignal): Promise<PassResult> {
    const jobs = await this.#due(await this.#view.sync(signal), signal);
    const { disk, options } = this.#context;
    const keys = new Set(jobs.map(downsampleKey));
    await removeStrangers(disk, join(options.dataDirectory, 'downsample'), keys);
    const result = { worked: 0, elsewhere: 0, failures: [] as string[] };
    await concurrently(this.#options.concurrency, jobs, signal, async (job, inner) => {
      if (this.#options.isBusy?.(job.block) === true) return;
      const done = await this.#run(job, inner);
      if (done === 'worked' || done === 'elsewhere') result[done]++;
      else result.failures.push(done.failure);
      this.#options.onBlock?.(job.block.ulid, jobs.length);
    });
    return result;
  }

  /** Looks at the bucket for what is left to be done, and does nothing. */
  async showProgress(signal: AbortSignal): Promise<void> {
    await this.#due(await this.#view.sync(signal), signal);
  }

  async #due(snapshot: BucketSnapshot, signal: AbortSignal): Promise<readonly DownsampleJob[]> {
    const { ages, wants } = this.#options;
    const all = planDownsampling(snapshot.metas.values(), snapshot.noDownsample, ages);
    const jobs = wants === undefined ? all : await wants.of(all, snapshot, signal);
    this.#board.show(jobs.map(groupOf), ({ blocks }) => jobBacklog(blocks));
    return jobs;
  }

  async #run(job: DownsampleJob, signal: AbortSignal): Promise<Done> {
    const { metrics, log, clock, leases, options } = this.#context;
    const group = groupOf(job);
    const { ulid } = job.block;
    if (options.retryFaults !== true && this.#board.isQuarantined(group, ulid))
      return { failure: `downsampling block ${ulid} is in quarantine` };
    await using lease = await leases.acquire(`downsample/${downsampleKey(job)}`, signal);
    if (lease === undefined) return 'elsewhere';
    const resolution = resolutionLabel(group.resolutionMs);
    const startedMs = clock.now();
    try {
      const made = await runDownsampling(
        {
          ...job,
          lease,
          signal,
          onPhase: (phase, fraction) =>
            this.#board.progress(group, { phase, blocks: [ulid], startedMs, fraction }),
        },
        this.#context,
      );
      log.info('block downsampled', { block: ulid, into: made.ulid, resolution_ms: job.toMs });
      const durationMs = clock.now() - startedMs;
      metrics.downsampleSeconds.observe({ resolution }, durationMs / 1000);
      this.#options.throughput.add(blockBytes(job.block), durationMs);
      return 'worked';
    } catch (thrown) {
      signal.throwIfAborted();
      metrics.downsampleFailures.inc({ resolution });
      const message = messageOf(thrown);
      if (thrown instanceof GroupFault) {
        this.#board.quarantine(group, ulid, thrown);
        log.error('block is not downsampled', {
          block: ulid,
          err: message,
          command: thrown.command,
        });
      } else {
        metrics.retries.inc();
        this.#board.failed(group, message);
        log.warn('downsampling failed; trying again', { block: ulid, err: message });
      }
      return { failure: `downsampling block ${ulid}: ${message}` };
    } finally {
      metrics.downsamples.inc({ resolution });
      this.#board.progress(group, undefined);
    }
  }
}

type Done = 'worked' | 'elsewhere' | { readonly failure: string };

/** The block alone, under the key of its job. */
function groupOf(job: DownsampleJob): Group {
  const [group] = groupBlocks([job.block]);
  return { ...group!, key: downsampleKey(job) };
}
