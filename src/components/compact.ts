import { join } from 'node:path';
import { BucketIndexWriter } from '#/blocks/bucket-index-writer.ts';
import { noticingBucket } from '#/blocks/noticing-bucket.ts';
import type { HashFunction } from '#/blocks/upload-block.ts';
import { LocalBlockWork } from '#/compact/block-work.ts';
import type { BlockWork } from '#/compact/block-work.ts';
import type { BucketView } from '#/compact/bucket-view.ts';
import { CompactMetrics } from '#/compact/compact-metrics.ts';
import { Cleaner } from '#/compact/cleaner.ts';
import { Compactor } from '#/compact/compactor.ts';
import type { DownsampleAges } from '#/compact/downsample-plan.ts';
import { DownsampleQueue } from '#/compact/downsample-queue.ts';
import { GroupBoard } from '#/compact/group-board.ts';
import type { JobContext } from '#/compact/job-context.ts';
import { soleCompactor } from '#/compact/lease.ts';
import type { Leases } from '#/compact/lease.ts';
import { ProbedLeases } from '#/compact/probed-leases.ts';
import type { PassResult } from '#/compact/pass-result.ts';
import type { Retentions } from '#/compact/retention-plan.ts';
import { RetentionQueue } from '#/compact/retention.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServerOptions } from '#/http/server.ts';
import { every } from '#/lib/clock.ts';
import { messageOf, UnavailableError } from '#/lib/errors.ts';
import { together } from '#/lib/together.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import { openCompactView } from './compact-view.ts';
import type { CompactViewConfig } from './compact-view.ts';
import type { Runtime } from './runtime.ts';

export interface CompactConfig extends CompactViewConfig {
  readonly http: Omit<HttpServerOptions, 'routes'>;
  readonly openBucket: (runtime: Runtime) => Promise<Bucket>;
  readonly dataDirectory: string;
  /** Stay and look for more work; else end when all is done. */
  readonly wait: boolean;
  readonly waitIntervalMs: number;
  /** How often blocks that are to go are deleted; 0 for `waitIntervalMs`. With `wait` only. */
  readonly cleanupIntervalMs: number;
  /** How often the metrics of what is left are brought up to date; 0 for never. With `wait` only. */
  readonly progressIntervalMs: number;
  /** How leases in the bucket keep several compactors apart; `undefined` for no leases. */
  readonly leases: { readonly holder: string; readonly ttlMs: number } | undefined;
  /** They are merged into one. */
  readonly replicaLabels: readonly string[];
  readonly verticalCompaction: boolean;
  readonly algorithm: DedupAlgorithm;
  readonly skipOutOfOrderChunks: boolean;
  readonly maxIndexBytes: number;
  /** Groups that are compacted, and blocks that are downsampled, at once. */
  readonly concurrency: number;
  readonly downsampleConcurrency: number;
  readonly blockFetchConcurrency: number;
  readonly fileConcurrency: number;
  readonly hashFunction: HashFunction;
  readonly ranges?: readonly number[];
  /** `undefined` for no downsampling. */
  readonly downsampleAges: DownsampleAges | undefined;
  readonly retentions: Retentions;
}

/** One of the things that a compactor does, independent of the others but for the view they share. */
interface Queue {
  readonly name: string;
  /** Default: that of the configuration. */
  readonly intervalMs?: number;
  pass(signal: AbortSignal): Promise<PassResult>;
  /** Brings the metrics of what is left up to date. */
  showProgress?(signal: AbortSignal): Promise<void>;
}

/** What may take the place of the usual way to do things; for several compactors, threads and tests. */
export interface CompactParts {
  readonly leases?: Leases;
  readonly work?: BlockWork;
}

/**
 * Compacts and downsamples the blocks of a bucket: once, or for as long as `runtime.signal` lets it.
 * @throws UnavailableError at the end of a single run in which something could not be done.
 */
export async function runCompact(
  config: CompactConfig,
  runtime: Runtime,
  parts: CompactParts = {},
): Promise<void> {
  const { clock, disk, random, log, metrics, probe } = runtime;
  await using open = new AsyncDisposableStack();
  open.use(await serveHttp({ ...config.http, routes: [] }, runtime));
  const { bucket, index } = await openBucket(config, open, runtime);
  const context: JobContext = {
    options: {
      dataDirectory: config.dataDirectory,
      hashFunction: config.hashFunction,
      blockConcurrency: config.blockFetchConcurrency,
      fileConcurrency: config.fileConcurrency,
      verticalCompaction: config.verticalCompaction || config.replicaLabels.length > 0,
      algorithm: config.algorithm,
      skipOutOfOrderChunks: config.skipOutOfOrderChunks,
      maxIndexBytes: config.maxIndexBytes,
      ...(config.ranges === undefined ? {} : { ranges: config.ranges }),
    },
    bucket,
    disk,
    clock,
    random,
    log,
    metrics: new CompactMetrics(metrics),
    work: parts.work ?? new LocalBlockWork(disk),
    leases: parts.leases ?? leasesOf(config, bucket, runtime),
  };
  metrics
    .gauge({ name: 'thanos_delete_delay_seconds', help: 'Configured delete delay in seconds.' })
    .set(config.deleteDelayMs / 1000);
  const sync = { ...config.sync, cacheDirectory: config.dataDirectory };
  const view = openCompactView({ ...config, sync }, bucket, runtime);
  const queues = queuesOf(config, view, context);
  open.defer(() => probe.notReady('stopping'));
  probe.ready();
  if (config.wait) {
    await together(runtime.signal, [
      (signal) => runForever(queues, config, { ...runtime, signal }, context.metrics),
      (signal) => index.follow(config.waitIntervalMs, signal),
    ]);
    return;
  }
  try {
    await runOnce(queues, config, runtime);
  } finally {
    await index.attempt(runtime.signal);
  }
}

/** The bucket, and the writer of its index, which is told of what is written. */
async function openBucket(
  config: CompactConfig,
  open: AsyncDisposableStack,
  runtime: Runtime,
): Promise<{ readonly bucket: Bucket; readonly index: BucketIndexWriter }> {
  const bucket = open.use(await config.openBucket(runtime));
  const { clock, log, metrics } = runtime;
  const concurrency = config.sync.metaConcurrency;
  const index = new BucketIndexWriter({ bucket, concurrency, clock, log, metrics });
  return { bucket: noticingBucket(withReason(bucket, 'compaction'), () => index.changed()), index };
}

/** In the order in which a single run goes through them. */
function queuesOf(config: CompactConfig, view: BucketView, context: JobContext): Queue[] {
  const board = new GroupBoard();
  const downsampling = new GroupBoard();
  const compactor = new Compactor(view, board, context, config.concurrency);
  const queues: Queue[] = [
    {
      name: 'compaction',
      pass: (signal) => compactor.pass(signal),
      showProgress: (signal) => compactor.showProgress(signal),
    },
  ];
  if (config.downsampleAges !== undefined) {
    const queue = new DownsampleQueue(view, downsampling, context, {
      ages: config.downsampleAges,
      concurrency: config.downsampleConcurrency,
      isBusy: ({ ulid }) => board.isBusy(ulid),
    });
    queues.push({
      name: 'downsampling',
      pass: (signal) => queue.pass(signal),
      showProgress: (signal) => queue.showProgress(signal),
    });
  }
  if (config.retentions.size > 0) {
    const { retentions, downsampleAges } = config;
    const queue = new RetentionQueue(view, context, { retentions, ages: downsampleAges });
    queues.push({
      name: 'retention',
      pass: (signal) => queue.pass(signal),
      showProgress: (signal) => queue.showProgress(signal),
    });
  }
  const cleaner = new Cleaner(view, context, {
    deleteDelayMs: config.deleteDelayMs,
    isBusy: (id) => board.isBusy(id) || downsampling.isBusy(id),
  });
  queues.push({
    name: 'cleaning',
    ...(config.cleanupIntervalMs > 0 ? { intervalMs: config.cleanupIntervalMs } : {}),
    async pass(signal) {
      if (config.downsampleAges === undefined) {
        await context.disk.remove(join(config.dataDirectory, 'downsample'));
      }
      return cleaner.pass(signal);
    },
  });
  return queues;
}

/** Every queue by itself: one that is behind, or fails, keeps no other waiting. */
async function runForever(
  queues: readonly Queue[],
  { waitIntervalMs, progressIntervalMs }: CompactConfig,
  { clock, log, signal }: Runtime,
  metrics: CompactMetrics,
): Promise<void> {
  const attempt = async (queue: Queue, work: () => Promise<void>, of: AbortSignal) => {
    try {
      await work();
    } catch (thrown) {
      of.throwIfAborted();
      metrics.retries.inc();
      log.warn('cannot go on now; trying again', { queue: queue.name, err: messageOf(thrown) });
    }
  };
  const loops = queues.map((queue) => async (of: AbortSignal) => {
    const iterate = () =>
      attempt(
        queue,
        async () => {
          const { failures } = await drain(queue, of);
          if (failures.length === 0) metrics.iterations.inc();
        },
        of,
      );
    await iterate();
    await every(clock, queue.intervalMs ?? waitIntervalMs, of, iterate);
  });
  if (progressIntervalMs > 0) {
    loops.push((of) =>
      every(clock, progressIntervalMs, of, async () => {
        for (const queue of queues) {
          await attempt(queue, async () => queue.showProgress?.(of), of);
        }
      }),
    );
  }
  await together(signal, loops);
}

/** Jobs of other compactors are waited for: one that has died does not end its own. */
async function runOnce(
  queues: readonly Queue[],
  { leases }: CompactConfig,
  { clock, log, signal }: Runtime,
): Promise<void> {
  const failures: string[] = [];
  for (const queue of queues) {
    let result = await drain(queue, signal);
    while (result.elsewhere > 0) {
      log.info('waiting for jobs of other compactors', {
        queue: queue.name,
        jobs: result.elsewhere,
      });
      await clock.sleep((leases?.ttlMs ?? 0) / 2, signal);
      result = await drain(queue, signal);
    }
    failures.push(...result.failures);
  }
  if (failures.length === 0) return;
  throw new UnavailableError(`not everything could be done: ${failures.join('; ')}`);
}

/** Passes until one finds nothing to do; that one's result is returned. */
async function drain(queue: Queue, signal: AbortSignal): Promise<PassResult> {
  for (;;) {
    const result = await queue.pass(signal);
    if (result.worked === 0) return result;
  }
}

function leasesOf({ leases }: CompactConfig, bucket: Bucket, { clock, log }: Runtime): Leases {
  return leases === undefined ? soleCompactor : new ProbedLeases({ ...leases, bucket, clock, log });
}
