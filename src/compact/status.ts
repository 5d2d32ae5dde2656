import type { Clock } from '#/lib/clock.ts';
import type { Disk } from '#/lib/disk.ts';
import type { CompactMetrics } from './compact-metrics.ts';
import type { GroupBoard, GroupStatus } from './group-board.ts';
import { faultKinds } from './group-fault.ts';
import { addBacklogs } from './progress.ts';
import type { Backlog } from './progress.ts';
import type { QueueStatus, WatchedQueue } from './queue.ts';
import type { RetentionBacklog } from './retention.ts';
import { timeLeftMs } from './throughput.ts';
import type { Throughput } from './throughput.ts';
import { giveUpCommand } from './unreadable.ts';

/** How the jobs of one kind stand. */
export interface WorkStatus {
  /** The name of their queue. */
  readonly queue: string;
  /** In the order of keys; for downsampling each job is a group of one block. */
  readonly groups: readonly GroupStatus[];
  /** Of all groups, those in quarantine included. */
  readonly backlog: Backlog;
  /** Of one job; `undefined` before the first has ended. */
  readonly bytesPerSecond: number | undefined;
  /** For the groups that are not in quarantine; `undefined` before the first job has ended. */
  readonly timeLeftMs: number | undefined;
}

export interface UnreadableBlock {
  readonly block: string;
  readonly message: string;
  /** A command line that gives the block up, for somebody to think about. */
  readonly command: string;
}

/** A compactor at one moment: what its page, its API, its metrics and its health are made of. */
export interface CompactorStatus {
  readonly nowMs: number;
  readonly startedMs: number;
  /** Whether groups in quarantine are left alone; else they are tried again in every pass. */
  readonly haltsOnFaults: boolean;
  readonly queues: readonly QueueStatus[];
  readonly work: readonly WorkStatus[];
  /** Blocks that are left out because their `meta.json` cannot be read. */
  readonly unreadable: readonly UnreadableBlock[];
  /** `undefined` where no retention is set. */
  readonly retention: RetentionBacklog | undefined;
  readonly disk: {
    readonly directory: string;
    /** For the largest job to be done. */
    readonly neededBytes: number;
    /** `undefined` if it cannot be told. */
    readonly freeBytes: number | undefined;
  };
}

export interface StatusParts {
  readonly clock: Pick<Clock, 'now'>;
  readonly disk: Disk;
  readonly dataDirectory: string;
  readonly haltsOnFaults: boolean;
  readonly queues: readonly WatchedQueue[];
  readonly work: readonly {
    readonly queue: string;
    readonly board: GroupBoard;
    readonly throughput: Throughput;
    readonly concurrency: number;
  }[];
  readonly unreadable: () => ReadonlyMap<string, Error>;
  readonly retention?: () => RetentionBacklog;
}

/** Puts together how a compactor stands. */
export class StatusSource {
  readonly #parts: StatusParts;
  readonly #startedMs: number;

  constructor(parts: StatusParts) {
    this.#parts = parts;
    this.#startedMs = parts.clock.now();
  }

  async status(): Promise<CompactorStatus> {
    const { clock, dataDirectory, haltsOnFaults, queues, unreadable, retention } = this.#parts;
    const freeBytes = await this.#freeBytes();
    const work = this.#parts.work.map(workStatus);
    return {
      nowMs: clock.now(),
      startedMs: this.#startedMs,
      haltsOnFaults,
      queues: queues.map((queue) => queue.status()),
      work,
      unreadable: Array.from(unreadable(), ([block, { message }]) => ({
        block,
        message,
        command: giveUpCommand(block),
      })),
      retention: retention?.(),
      disk: {
        directory: dataDirectory,
        neededBytes: addBacklogs(work.map(({ backlog }) => backlog)).neededDiskBytes,
        freeBytes,
      },
    };
  }

  async #freeBytes(): Promise<number | undefined> {
    const { disk, dataDirectory } = this.#parts;
    try {
      return await disk.freeBytes(dataDirectory);
    } catch {
      // Before the first job there is no such directory.
      return undefined;
    }
  }
}

function workStatus({
  queue,
  board,
  throughput,
  concurrency,
}: StatusParts['work'][number]): WorkStatus {
  const groups = board.statuses();
  const { bytesPerSecond } = throughput;
  const lines = groups
    .filter(({ quarantine }) => quarantine === undefined)
    .map(({ backlog }) => backlog.bytes);
  return {
    queue,
    groups,
    backlog: addBacklogs(groups.map(({ backlog }) => backlog)),
    bytesPerSecond,
    timeLeftMs: timeLeftMs(lines, bytesPerSecond, concurrency),
  };
}

/** Sets the metrics that say how the compactor stands. */
export function showStatus(status: CompactorStatus, metrics: CompactMetrics): void {
  const { nowMs, queues, work, retention, disk } = status;
  for (const { queue, backlog, bytesPerSecond, timeLeftMs: leftMs } of work) {
    const ageMs = backlog.oldestMs === undefined ? 0 : Math.max(0, nowMs - backlog.oldestMs);
    metrics.backlogAgeSeconds.set({ queue }, ageMs / 1000);
    metrics.timeLeftSeconds.set({ queue }, leftMs === undefined ? -1 : leftMs / 1000);
    metrics.bytesPerSecond.set({ queue }, bytesPerSecond ?? 0);
  }
  const todo = (name: string) => work.find(({ queue }) => queue === name)?.backlog;
  metrics.todoCompactions.set(todo('compaction')?.jobs ?? 0);
  metrics.todoBlocks.set(todo('compaction')?.blocks ?? 0);
  metrics.todoDownsamples.set(todo('downsampling')?.jobs ?? 0);
  metrics.todoDeletions.set((retention?.expired ?? 0) + (retention?.held ?? 0));
  metrics.heldBlocks.set(retention?.held ?? 0);
  metrics.unreadableBlocks.set(status.unreadable.length);
  metrics.neededDiskBytes.set(disk.neededBytes);
  if (disk.freeBytes !== undefined) metrics.freeDiskBytes.set(disk.freeBytes);
  for (const { name, lastSuccessMs, trouble } of queues) {
    metrics.queueLastSuccess.set({ queue: name }, (lastSuccessMs ?? 0) / 1000);
    metrics.queueInTrouble.set({ queue: name }, trouble === undefined ? 0 : 1);
  }
  showQuarantine(status, metrics);
}

function showQuarantine({ work, haltsOnFaults }: CompactorStatus, metrics: CompactMetrics): void {
  const all = work
    .flatMap(({ groups }) => groups)
    .map(({ quarantine }) => quarantine)
    .filter((quarantine) => quarantine !== undefined);
  for (const reason of faultKinds) {
    const count = all.filter(({ kind }) => kind === reason).length;
    metrics.quarantinedGroups.set({ reason }, count);
  }
  metrics.halted.set(haltsOnFaults && all.length > 0 ? 1 : 0);
}
