import { messageOf } from '#/lib/errors.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { compactionLease } from './compaction-job.ts';
import type { GroupBoard } from './group-board.ts';
import { GroupFault } from './group-fault.ts';
import { groupBlocks } from './grouper.ts';
import type { Group } from './grouper.ts';
import type { JobContext } from './job-context.ts';
import { removeStrangers } from './job-directory.ts';
import { jobBacklog } from './progress.ts';
import { rewriteKey, rewriteRoot, runRewriting } from './rewrite-job.ts';
import type { RewriteJob, RewriteOutcome, RewriteReason } from './rewrite-job.ts';

export type RewriteDone =
  | RewriteOutcome
  /** Compaction is at the block's group. */
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'failed'; readonly message: string };

/**
 * Runs jobs that rewrite blocks, for the queues that know which. A block that cannot be rewritten is
 * left alone until other deletions are due or it is gone, and the others go on; on the board each
 * job is a group of one block.
 */
export class BlockRewriter {
  readonly #board: GroupBoard;
  readonly #context: JobContext;

  constructor(board: GroupBoard, context: JobContext) {
    this.#board = board;
    this.#context = context;
  }

  /** Takes the jobs of a pass, and removes what others have left on the disk. */
  async expect(reason: RewriteReason, jobs: readonly RewriteJob[]): Promise<void> {
    this.#board.show(jobs.map(groupOf), ({ blocks }) => jobBacklog(blocks));
    const { disk, options } = this.#context;
    const root = rewriteRoot(options.dataDirectory, reason);
    await removeStrangers(disk, root, new Set(jobs.map(rewriteKey)));
  }

  async rewrite(job: RewriteJob, signal: AbortSignal): Promise<RewriteDone> {
    const { metrics, log, clock, leases } = this.#context;
    const { block, reason } = job;
    const group = groupOf(job);
    const blocks = [block.ulid];
    if (this.#board.isQuarantined(group, group.key)) {
      return { kind: 'failed', message: `rewriting block ${block.ulid} is in quarantine` };
    }
    await using lease = await leases.acquire(leaseOf(block), signal);
    if (lease === undefined) return { kind: 'elsewhere' };
    const startedMs = clock.now();
    try {
      const outcome = await runRewriting(
        {
          ...job,
          lease,
          signal,
          onPhase: (phase, fraction) =>
            this.#board.progress(group, { phase, blocks, startedMs, fraction }),
        },
        this.#context,
      );
      this.#board.succeeded(group);
      if (outcome.kind === 'rewritten' || outcome.kind === 'empty') {
        metrics.rewrites.inc({ reason });
        metrics.droppedSeries.inc({ reason }, outcome.seriesDropped);
        metrics.droppedSamples.inc({ reason }, outcome.samplesDropped);
      }
      return outcome;
    } catch (thrown) {
      signal.throwIfAborted();
      metrics.rewriteFailures.inc({ reason });
      const message = messageOf(thrown);
      if (thrown instanceof GroupFault) {
        this.#board.quarantine(group, group.key, thrown);
        const { command } = thrown;
        log.error('block is not rewritten', { block: block.ulid, err: message, command });
      } else {
        metrics.retries.inc();
        this.#board.failed(group, message);
        log.warn('rewriting failed; trying again', { block: block.ulid, err: message });
      }
      return { kind: 'failed', message: `rewriting block ${block.ulid}: ${message}` };
    } finally {
      this.#board.progress(group, undefined);
    }
  }
}

function leaseOf(block: BlockMeta): string {
  return compactionLease(groupBlocks([block])[0]!);
}

/** The block alone, under the key of its job. */
function groupOf(job: RewriteJob): Group {
  const [group] = groupBlocks([job.block]);
  return { ...group!, key: rewriteKey(job) };
}
