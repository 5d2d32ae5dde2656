import type { HashFunction } from '#/blocks/upload-block.ts';
import type { BlockWork } from '#/compact/block-work.ts';
import { CompactMetrics } from '#/compact/compact-metrics.ts';
import type { DownsampleAges } from '#/compact/downsample-plan.ts';
import { DownsampleQueue } from '#/compact/downsample-queue.ts';
import { GroupBoard } from '#/compact/group-board.ts';
import { Throughput } from '#/compact/throughput.ts';
import { soleCompactor } from '#/compact/lease.ts';
import { ProbedLeases } from '#/compact/probed-leases.ts';
import { serveHttp } from '#/http/server.ts';
import type { HttpServerOptions } from '#/http/server.ts';
import { messageOf } from '#/lib/errors.ts';
import type { BucketTool } from './bucket-tool.ts';
import { FETCH_CONCURRENCY } from './bucket-tool.ts';
import { exitCode, openMaintenanceView } from './maintenance.ts';
import { progressOf } from './progress.ts';

export interface DownsampleConfig {
  readonly http: Omit<HttpServerOptions, 'routes'>;
  readonly dataDirectory: string;
  readonly ages: DownsampleAges;
  /** Blocks that are downsampled, and files of a block that are transferred, at once. */
  readonly concurrency: number;
  readonly fileConcurrency: number;
  readonly hashFunction: HashFunction;
  /** How leases in the bucket keep it apart from compactors; `undefined` for no leases. */
  readonly leases: { readonly holder: string; readonly ttlMs: number } | undefined;
  /** Look again after this time. */
  readonly waitIntervalMs: number;
  /** End when everything is downsampled. */
  readonly singleRun: boolean;
}

/** As a compactor that is left as it is. */
const DELETE_DELAY_MS = 48 * 3_600_000;

/**
 * Does what a compactor's downsampling does: brings every block that is large enough to 5 minutes and
 * then to 1 hour, once or again and again. Gives 1 if a block could not be downsampled, in a single run.
 */
export async function downsampleBucket(
  config: DownsampleConfig,
  tool: BucketTool,
  work: BlockWork,
): Promise<number> {
  const { clock, log, probe, signal } = tool;
  await using open = new AsyncDisposableStack();
  open.use(await serveHttp({ ...config.http, routes: [] }, tool));
  const pass = openQueue(config, tool, work);
  probe.ready();
  if (config.singleRun) return exitCode('downsampling', await pass(), tool);
  while (!signal.aborted) {
    try {
      exitCode('downsampling', await pass(), tool);
    } catch (thrown) {
      if (signal.aborted) break;
      log.error('downsampling failed; it goes on after --wait-interval', {
        err: messageOf(thrown),
      });
    }
    await clock.sleep(config.waitIntervalMs, signal).catch(() => undefined);
  }
  return 0;
}

/** Downsamples until nothing is left to do; gives what could not be done. */
function openQueue(
  config: DownsampleConfig,
  tool: BucketTool,
  work: BlockWork,
): () => Promise<readonly string[]> {
  const { bucket, clock, log, signal } = tool;
  const view = openMaintenanceView(
    { deleteDelayMs: DELETE_DELAY_MS, consistencyDelayMs: 0, concurrency: FETCH_CONCURRENCY },
    tool,
  );
  const leases =
    config.leases === undefined
      ? soleCompactor
      : new ProbedLeases({ ...config.leases, bucket, clock, log });
  const context = {
    ...tool,
    options: {
      dataDirectory: config.dataDirectory,
      hashFunction: config.hashFunction,
      blockConcurrency: 1,
      fileConcurrency: config.fileConcurrency,
      verticalCompaction: false,
      algorithm: 'chain',
      skipOutOfOrderChunks: false,
      maxIndexBytes: Number.POSITIVE_INFINITY,
    },
    metrics: new CompactMetrics(tool.metrics),
    work,
    leases,
  } as const;
  const progress = progressOf(tool.progress, 'downsampling');
  const queue = new DownsampleQueue(view, context, {
    board: new GroupBoard(tool.clock),
    throughput: new Throughput(),
    ages: config.ages,
    concurrency: config.concurrency,
    onBlock: progress.step,
  });
  return async () => {
    for (;;) {
      const { worked, elsewhere, failures } = await queue.pass(signal);
      progress.end();
      if (worked > 0) continue;
      if (elsewhere === 0) return failures;
      return [...failures, `${elsewhere} blocks are being downsampled by others`];
    }
  };
}
