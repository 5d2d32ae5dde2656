import { join } from 'node:path';
import { DeletionView } from '#/blocks/deletion-view.ts';
import type { BlockFetcher } from '#/blocks/fetcher.ts';
import { BucketIndexWriter } from '#/blocks/bucket-index-writer.ts';
import { noticingBucket } from '#/blocks/noticing-bucket.ts';
import type { HashFunction } from '#/blocks/upload-block.ts';
import { LocalBlockWork } from '#/compact/block-work.ts';
import type { BlockWork } from '#/compact/block-work.ts';
import { BlockRewriter } from '#/compact/block-rewriter.ts';
import type { BucketView } from '#/compact/bucket-view.ts';
import { CompactMetrics } from '#/compact/compact-metrics.ts';
import { Cleaner } from '#/compact/cleaner.ts';
import { Compactor } from '#/compact/compactor.ts';
import { DeletionQueue } from '#/compact/deletion-queue.ts';
import type { DownsampleAges } from '#/compact/downsample-plan.ts';
import { DownsampleWants } from '#/compact/downsample-wants.ts';
import { DownsampleQueue } from '#/compact/downsample-queue.ts';
import { GroupBoard } from '#/compact/group-board.ts';
import type { JobContext } from '#/compact/job-context.ts';
import { ExclusiveLeases, soleCompactor } from '#/compact/lease.ts';
import type { Leases } from '#/compact/lease.ts';
import { ProbedLeases } from '#/compact/probed-leases.ts';
import { WatchedQueue } from '#/compact/queue.ts';
import type { Queue } from '#/compact/queue.ts';
import type { Retentions } from '#/compact/retention-plan.ts';
import { RetentionQueue } from '#/compact/retention.ts';
import type { RetentionRule } from '#/compact/retention-rules.ts';
import { RuleRetention } from '#/compact/rule-retention.ts';
import { runForever, runOnce } from '#/compact/run-queues.ts';
import { showStatus, StatusSource } from '#/compact/status.ts';
import { Throughput } from '#/compact/throughput.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServerOptions, Route } from '#/http/server.ts';
import { every } from '#/lib/clock.ts';
import { together } from '#/lib/together.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import { compactDeletionApi } from './compact-deletions.ts';
import type { SeriesDeletionConfig } from './compact-deletions.ts';
import { openCompactFetcher, openCompactView } from './compact-view.ts';
import type { CompactViewConfig } from './compact-view.ts';
import { compactWebRoutes } from './compact-web.ts';
import type { CompactWebConfig } from './compact-web.ts';
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
  /** Leave groups with a fault alone until their blocks change; default true. Else they are tried again. */
  readonly haltOnError?: boolean;
  /** Groups that are compacted, and blocks that are downsampled, at once. */
  readonly concurrency: number;
  readonly downsampleConcurrency: number;
  readonly blockFetchConcurrency: number;
  readonly fileConcurrency: number;
  readonly hashFunction: HashFunction;
  readonly ranges?: readonly number[];
  /** `undefined` for no downsampling. */
  readonly downsampleAges: DownsampleAges | undefined;
  /** For series that no rule selects. */
  readonly retentions: Retentions;
  /** The first that selects a series counts. */
  readonly retentionRules?: readonly RetentionRule[];
  /** Only say in the log what retention would take. */
  readonly retentionDryRun?: boolean;
  readonly seriesDeletions: SeriesDeletionConfig;
  /** The page and the APIs beside it; none when absent. */
  readonly web?: CompactWebConfig;
}

/** What may take the place of the usual way to do things; for several compactors, threads and tests. */
export interface CompactParts {
  readonly leases?: Leases;
  readonly work?: BlockWork;
  /** Default: an HTTP server at the configured address. */
  readonly serve?: (routes: readonly Route[]) => Promise<AsyncDisposable>;
  /** How often metrics and probes are brought up to date; default a minute. */
  readonly watchIntervalMs?: number;
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
      retryFaults: config.haltOnError === false,
      ...(config.ranges === undefined ? {} : { ranges: config.ranges }),
    },
    bucket,
    disk,
    clock,
    random,
    log,
    metrics: new CompactMetrics(metrics),
    work: parts.work ?? new LocalBlockWork(disk),
    leases: new ExclusiveLeases(parts.leases ?? leasesOf(config, bucket, runtime)),
  };
  metrics
    .gauge({ name: 'thanos_delete_delay_seconds', help: 'Configured delete delay in seconds.' })
    .set(config.deleteDelayMs / 1000);
  const viewConfig = {
    ...config,
    sync: { ...config.sync, cacheDirectory: config.dataDirectory },
  };
  const fetcher = openCompactFetcher(viewConfig, bucket, runtime);
  const view = openCompactView(viewConfig, bucket, runtime, fetcher);
  const deletions = new DeletionView({
    bucket,
    maxAgeMs: config.waitIntervalMs,
    clock,
    log,
    metrics,
  });
  const { queues, source, deletionQueue } = queuesOf(config, { view, fetcher, deletions }, context);
  const show = async () => showStatus(await source.status(), context.metrics);
  const deletionApi = compactDeletionApi(
    config.seriesDeletions.adminApi,
    { queue: deletionQueue, deletions, bucket },
    runtime,
  );
  const routes = compactWebRoutes(
    config.web,
    { source, view, fetcher, bucket, deletions: deletionApi },
    runtime,
  );
  const serve = parts.serve ?? ((all) => serveHttp({ ...config.http, routes: all }, runtime));
  open.use(await serve(routes));
  open.defer(() => probe.notReady('stopping'));
  probe.ready();
  if (config.wait) {
    const { progressIntervalMs } = config;
    await together(runtime.signal, [
      (signal) =>
        runForever(
          queues,
          { progressIntervalMs, show },
          { clock, log, signal, metrics: context.metrics },
        ),
      (signal) =>
        every(clock, parts.watchIntervalMs ?? WATCH_INTERVAL_MS, signal, () =>
          watch(source, context.metrics, runtime),
        ),
      (signal) => index.follow(config.waitIntervalMs, signal),
    ]);
    return;
  }
  try {
    const patienceMs = (config.leases?.ttlMs ?? 0) / 2;
    await runOnce(queues, { patienceMs, show }, { clock, log, signal: runtime.signal });
  } finally {
    await index.attempt(runtime.signal);
  }
}

const WATCH_INTERVAL_MS = 60_000;

/**
 * Brings metrics and health up to date. Queues are never silent about getting nowhere: while one's
 * passes fail, the compactor is not ready; while one hangs, which a restart may mend, it is not
 * healthy either. Groups in quarantine are no reason for either, as in Thanos.
 */
async function watch(
  source: StatusSource,
  metrics: CompactMetrics,
  { log, probe }: Runtime,
): Promise<void> {
  const status = await source.status();
  showStatus(status, metrics);
  const troubles = status.queues.map(({ trouble }) => trouble).filter((one) => one !== undefined);
  for (const { message } of troubles) log.error('a queue gets nowhere', { err: message });
  const hanging = troubles.find(({ kind }) => kind === 'hanging');
  if (hanging === undefined) probe.healthy();
  else probe.unhealthy(hanging.message);
  const [first] = troubles;
  if (first === undefined) probe.ready();
  else probe.notReady(first.message);
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
function queuesOf(
  config: CompactConfig,
  look: {
    readonly view: BucketView;
    readonly fetcher: BlockFetcher;
    readonly deletions: DeletionView;
  },
  context: JobContext,
): {
  readonly queues: readonly WatchedQueue[];
  readonly source: StatusSource;
  readonly deletionQueue: DeletionQueue;
} {
  const { clock, disk } = context;
  const { view } = look;
  const { waitIntervalMs, dataDirectory, concurrency, downsampleConcurrency } = config;
  const compacting = { board: new GroupBoard(clock), throughput: new Throughput(), concurrency };
  const downsampling = {
    board: new GroupBoard(clock),
    throughput: new Throughput(),
    concurrency: downsampleConcurrency,
  };
  const rewriting = { board: new GroupBoard(clock), throughput: new Throughput(), concurrency };
  const deletionQueue = new DeletionQueue(view, context, {
    ...look,
    rewriter: new BlockRewriter(rewriting.board, context),
    keepMs: config.seriesDeletions.keepMs,
    concurrency,
    isBusy: (id) => compacting.board.isBusy(id),
  });
  const isHeld = (ulid: string) => deletionQueue.holds(ulid);
  const compactor = new Compactor(view, context, { ...compacting, isHeld });
  const queues: Queue[] = [
    {
      name: 'series deletion',
      intervalMs: waitIntervalMs,
      pass: (signal) => deletionQueue.pass(signal),
      lastSignMs: () => rewriting.board.lastSignMs,
    },
    {
      name: 'compaction',
      intervalMs: waitIntervalMs,
      pass: async (signal) => {
        await deletionQueue.look(signal);
        return compactor.pass(signal);
      },
      showProgress: (signal) => compactor.showProgress(signal),
      lastSignMs: () => compacting.board.lastSignMs,
    },
  ];
  const work = [
    { queue: 'series deletion', ...rewriting },
    { queue: 'compaction', ...compacting },
  ];
  if (config.downsampleAges !== undefined) {
    const queue = new DownsampleQueue(view, context, {
      ...downsampling,
      ages: config.downsampleAges,
      wants: new DownsampleWants(context, {
        retentions: config.retentions,
        rules: config.retentionRules ?? [],
        ages: config.downsampleAges,
      }),
      isBusy: ({ ulid }) => compacting.board.isBusy(ulid) || isHeld(ulid),
    });
    queues.push({
      name: 'downsampling',
      intervalMs: waitIntervalMs,
      pass: async (signal) => {
        await deletionQueue.look(signal);
        return queue.pass(signal);
      },
      showProgress: (signal) => queue.showProgress(signal),
      lastSignMs: () => downsampling.board.lastSignMs,
    });
    work.push({ queue: 'downsampling', ...downsampling });
  }
  const retaining = { board: new GroupBoard(clock), throughput: new Throughput(), concurrency };
  const retention = retentionOf(config, view, context, retaining.board);
  if (retention !== undefined) {
    queues.push({
      name: 'retention',
      intervalMs: waitIntervalMs,
      pass: (signal) => retention.pass(signal),
      showProgress: (signal) => retention.showProgress(signal),
      lastSignMs: () => retaining.board.lastSignMs,
    });
    if ((config.retentionRules ?? []).length > 0) work.push({ queue: 'retention', ...retaining });
  }
  const cleaner = new Cleaner(view, context, {
    deleteDelayMs: config.deleteDelayMs,
    isBusy: (id) =>
      [compacting, downsampling, retaining, rewriting].some(({ board }) => board.isBusy(id)),
  });
  queues.push({
    name: 'cleaning',
    intervalMs: config.cleanupIntervalMs > 0 ? config.cleanupIntervalMs : waitIntervalMs,
    async pass(signal) {
      if (config.downsampleAges === undefined) {
        await disk.remove(join(dataDirectory, 'downsample'));
      }
      return cleaner.pass(signal);
    },
  });
  const watched = queues.map((queue) => new WatchedQueue(queue, clock));
  const source = new StatusSource({
    clock,
    disk,
    dataDirectory,
    haltsOnFaults: config.haltOnError !== false,
    queues: watched,
    work,
    unreadable: () => view.unreadable,
    ...(retention === undefined ? {} : { retention: () => retention.backlog }),
  });
  return { queues: watched, source, deletionQueue };
}

/** `undefined` if everything is kept for ever. */
function retentionOf(
  config: CompactConfig,
  view: BucketView,
  context: JobContext,
  board: GroupBoard,
): RetentionQueue | undefined {
  const { retentions, downsampleAges, retentionRules: rules = [], retentionDryRun } = config;
  if (retentions.size === 0 && rules.length === 0) return undefined;
  const rewriter = new BlockRewriter(board, context);
  return new RetentionQueue(view, context, {
    retentions,
    ages: downsampleAges,
    rules,
    rewriting: new RuleRetention(rewriter, context, config.concurrency),
    dryRun: retentionDryRun ?? false,
  });
}

function leasesOf({ leases }: CompactConfig, bucket: Bucket, { clock, log }: Runtime): Leases {
  return leases === undefined ? soleCompactor : new ProbedLeases({ ...leases, bucket, clock, log });
}
