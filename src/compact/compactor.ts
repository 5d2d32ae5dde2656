import { join } from 'node:path';
import { markBlock, readMark } from '#/blocks/markers.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { messageOf } from '#/lib/errors.ts';
import { INDEX_FILENAME } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { BucketSnapshot, BucketView } from './bucket-view.ts';
import {
  checkOverlaps,
  compactionLease,
  markForDeletion,
  runCompaction,
} from './compaction-job.ts';
import type { GroupBoard, Phase } from './group-board.ts';
import { GroupFault } from './group-fault.ts';
import { groupBlocks, resolutionLabel } from './grouper.ts';
import type { Group } from './grouper.ts';
import type { JobContext } from './job-context.ts';
import { removeStrangers } from './job-directory.ts';
import type { Lease } from './lease.ts';
import { firstOverlap, planGuarded } from './planner.ts';
import type { PlannedMark } from './planner.ts';
import type { PassResult } from './pass-result.ts';
import { groupBacklog, jobBacklog } from './progress.ts';
import type { Throughput } from './throughput.ts';
import { checkHoles } from './unreadable.ts';

export interface CompactorOptions {
  readonly board: GroupBoard;
  readonly throughput: Throughput;
  /** Groups that are worked at at once. */
  readonly concurrency: number;
  /** Blocks that must go through something else first: no compaction takes them up. Default: none. */
  readonly isHeld?: (ulid: string) => boolean;
}

/**
 * The queue of compactions: every pass takes each group of the bucket one step further. What goes
 * wrong in a group stays in it: a fault that somebody must look at puts it into quarantine until its
 * blocks change, anything else is tried again in the next pass, and the other groups go on.
 */
export class Compactor {
  readonly #view: BucketView;
  readonly #board: GroupBoard;
  readonly #context: JobContext;
  readonly #throughput: Throughput;
  readonly #concurrency: number;
  readonly #isHeld: (ulid: string) => boolean;

  constructor(view: BucketView, context: JobContext, options: CompactorOptions) {
    this.#view = view;
    this.#board = options.board;
    this.#context = context;
    this.#throughput = options.throughput;
    this.#concurrency = options.concurrency;
    this.#isHeld = options.isHeld ?? (() => false);
  }

  /** One step for every group, after a look at the bucket. @throws UnavailableError without one. */
  async pass(signal: AbortSignal): Promise<PassResult> {
    const snapshot = await this.#view.sync(signal);
    await this.#collectGarbage(snapshot, signal);
    const groups = groupBlocks(snapshot.metas.values());
    this.#show(groups, snapshot);
    const { disk, options } = this.#context;
    const keys = new Set(groups.filter(hasWork).map(({ key }) => key));
    await removeStrangers(disk, join(options.dataDirectory, 'compact'), keys);
    const result = { worked: 0, elsewhere: 0, failures: [] as string[] };
    await concurrently(this.#concurrency, groups, signal, async (group, inner) => {
      const step = await this.#step(group, snapshot, inner);
      if (step.kind === 'worked') result.worked++;
      if (step.kind === 'elsewhere') result.elsewhere++;
      if (step.kind === 'failed') result.failures.push(step.message);
    });
    return result;
  }

  /** Looks at the bucket for what is left to be done, and does nothing. */
  async showProgress(signal: AbortSignal): Promise<void> {
    const snapshot = await this.#view.sync(signal);
    this.#show(groupBlocks(snapshot.metas.values()), snapshot);
  }

  /** Marks blocks whose data a compacted block has, as after a crash before they were marked. */
  async #collectGarbage(snapshot: BucketSnapshot, signal: AbortSignal): Promise<void> {
    const { metrics, clock } = this.#context;
    const start = clock.now();
    try {
      for (const [id, larger] of snapshot.duplicates) {
        // A block that is on its way out itself covers nothing.
        if (snapshot.deletionMarks.has(id) || snapshot.deletionMarks.has(larger)) continue;
        await markForDeletion(id, 'outdated block', this.#context, signal);
      }
    } catch (thrown) {
      metrics.garbageCollectionFailures.inc();
      throw thrown;
    }
    metrics.garbageCollections.inc();
    metrics.garbageCollectionSeconds.observe((clock.now() - start) / 1000);
  }

  #show(groups: readonly Group[], { noCompact }: BucketSnapshot): void {
    const { ranges } = this.#context.options;
    const rules = { noCompact, ...(ranges === undefined ? {} : { ranges }) };
    this.#board.show(groups, (group) => groupBacklog(group, rules));
  }

  async #step(group: Group, snapshot: BucketSnapshot, signal: AbortSignal): Promise<Step> {
    const fingerprint = fingerprintOf(group, snapshot);
    const retries = this.#context.options.retryFaults === true;
    if (!retries && this.#board.isQuarantined(group, fingerprint)) return quarantined(group);
    const { metrics, log } = this.#context;
    const resolution = resolutionLabel(group.resolutionMs);
    if (!hasWork(group)) return { kind: 'idle' };
    metrics.groupRunsStarted.inc({ resolution });
    try {
      const kind = await this.#compact(group, snapshot, signal);
      metrics.groupRunsCompleted.inc({ resolution });
      this.#board.succeeded(group);
      return { kind };
    } catch (thrown) {
      signal.throwIfAborted();
      metrics.groupFailures.inc({ resolution });
      const message = messageOf(thrown);
      if (thrown instanceof GroupFault) {
        this.#board.quarantine(group, fingerprint, thrown);
        const { kind, command } = thrown;
        log.error('group is in quarantine', { group: group.name, kind, err: message, command });
        return quarantined(group);
      }
      metrics.retries.inc();
      this.#board.failed(group, message);
      log.warn('compaction failed; trying again', { group: group.name, err: message });
      return { kind: 'failed', message: `${group.name}: ${message}` };
    } finally {
      this.#board.progress(group, undefined);
    }
  }

  async #compact(group: Group, snapshot: BucketSnapshot, signal: AbortSignal): Promise<Done> {
    const { options, disk, leases, metrics, log, clock } = this.#context;
    if (!options.verticalCompaction) checkOverlaps(group);
    const { plan, marks } = await planGuarded(
      {
        blocks: group.blocks,
        coarser: group.coarser,
        noCompact: snapshot.noCompact,
        ...(options.ranges === undefined ? {} : { ranges: options.ranges }),
      },
      {
        maxIndexBytes: options.maxIndexBytes,
        indexBytes: (block) => this.#indexBytes(block, signal),
      },
    );
    if (plan.length === 0 && marks.length === 0) {
      // A job that was killed right after its marks has left its directory.
      await disk.remove(join(options.dataDirectory, 'compact', group.key));
      return 'idle';
    }
    checkHoles(plan, snapshot.unreadable);
    if (plan.some(({ ulid }) => this.#isHeld(ulid))) return 'idle';
    await using lease = await leases.acquire(compactionLease(group), signal);
    if (lease === undefined) return 'elsewhere';
    await this.#mark(marks, lease, signal);
    if (plan.length === 0 || !(await this.#isStillThere(plan, snapshot, signal))) {
      return marks.length > 0 ? 'worked' : 'idle';
    }
    const ids = plan.map(({ ulid }) => ulid);
    log.info('compaction planned', { group: group.name, blocks: ids });
    const startedMs = clock.now();
    const outcome = await runCompaction(
      { group, plan, lease, signal, onPhase: this.#phases(group, ids, startedMs) },
      this.#context,
    );
    this.#throughput.add(jobBacklog(plan).bytes, clock.now() - startedMs);
    const resolution = resolutionLabel(group.resolutionMs);
    if (outcome.kind === 'compacted') {
      metrics.groupCompactions.inc({ resolution });
      if (firstOverlap(plan).length > 0) metrics.groupVertical.inc({ resolution });
      const { ulid, stats } = outcome.meta;
      log.info('blocks compacted', { group: group.name, blocks: ids, into: ulid, ...stats });
    }
    return 'worked';
  }

  #phases(
    group: Group,
    blocks: readonly string[],
    startedMs: number,
  ): (phase: Phase, fraction?: number) => void {
    return (phase, fraction) => this.#board.progress(group, { phase, blocks, startedMs, fraction });
  }

  async #mark(marks: readonly PlannedMark[], lease: Lease, signal: AbortSignal): Promise<void> {
    if (marks.length === 0) return;
    const { bucket, clock, metrics, log } = this.#context;
    await lease.confirm(signal);
    for (const { block, reason, details } of marks) {
      await markBlock(bucket, block.ulid, { kind: 'no-compact', reason, details, clock, signal });
      metrics.blocksMarked.inc({ marker: 'no-compact-mark.json', reason });
      log.warn('block marked as not to be compacted', { block: block.ulid, reason, details });
    }
  }

  /** Another compactor may have been at the group since the look at the bucket. */
  async #isStillThere(
    plan: readonly BlockMeta[],
    { deletionMarks }: BucketSnapshot,
    signal: AbortSignal,
  ): Promise<boolean> {
    for (const { ulid } of plan) {
      if (deletionMarks.has(ulid)) continue;
      const mark = await readMark(this.#context.bucket, ulid, 'deletion', signal);
      if (mark !== undefined) return false;
    }
    return true;
  }

  async #indexBytes({ ulid }: BlockMeta, signal: AbortSignal): Promise<number> {
    const { bucket } = this.#context;
    return (await bucket.attributes(`${ulid}/${INDEX_FILENAME}`, { signal }))?.sizeBytes ?? 0;
  }
}

/** A block alone is compacted with nothing. */
function hasWork({ blocks }: Group): boolean {
  return blocks.length > 1;
}

type Done = 'idle' | 'worked' | 'elsewhere';

type Step = { readonly kind: Done } | { readonly kind: 'failed'; readonly message: string };

function quarantined({ name }: Group): Step {
  return { kind: 'failed', message: `${name} is in quarantine` };
}

/** Changes with the group's blocks and their marks, and with what cannot be read. */
function fingerprintOf(
  { blocks }: Group,
  { noCompact, deletionMarks, unreadable }: BucketSnapshot,
): string {
  const own = blocks.map(({ ulid }) => {
    const marks = `${noCompact.has(ulid) ? 'n' : ''}${deletionMarks.has(ulid) ? 'd' : ''}`;
    return `${ulid}${marks}`;
  });
  return [...own, ...[...unreadable.keys()].sort()].join();
}
