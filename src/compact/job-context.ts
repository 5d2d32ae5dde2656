import type { HashFunction } from '#/blocks/upload-block.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import type { Clock } from '#/lib/clock.ts';
import type { Disk } from '#/lib/disk.ts';
import type { Random } from '#/lib/random.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { BlockWork } from './block-work.ts';
import type { CompactMetrics } from './compact-metrics.ts';
import type { Leases } from './lease.ts';

export interface JobOptions {
  /** Work directories of jobs go below it, in `compact/` and `downsample/`. */
  readonly dataDirectory: string;
  readonly hashFunction: HashFunction;
  /** Blocks, and files of a block, that are transferred at once. */
  readonly blockConcurrency: number;
  readonly fileConcurrency: number;
  /** Whether blocks that overlap are merged; else they are a fault. */
  readonly verticalCompaction: boolean;
  /** How samples of blocks that overlap become one series. */
  readonly algorithm: DedupAlgorithm;
  /** Mark blocks with chunks out of order as not to be compacted, and go on without them. */
  readonly skipOutOfOrderChunks: boolean;
  /** Try groups in quarantine again in every pass, not only when their blocks change. */
  readonly retryFaults?: boolean;
  readonly maxIndexBytes: number;
  /** Default: Thanos's levels. */
  readonly ranges?: readonly number[];
}

/** What every job of a compactor works with. */
export interface JobContext {
  readonly options: JobOptions;
  readonly bucket: Bucket;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: CompactMetrics;
  readonly work: BlockWork;
  readonly leases: Leases;
}
