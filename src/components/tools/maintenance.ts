import type { BucketView } from '#/compact/bucket-view.ts';
import type { Relabeling } from '#/model/relabel.ts';
import { openCompactView } from '../compact-view.ts';
import type { BucketTool } from './bucket-tool.ts';

/** What the tools that do a part of a compactor's work see of a bucket. */
export interface MaintenanceConfig {
  /** Between a block's deletion mark and its deletion. */
  readonly deleteDelayMs: number;
  /** Blocks of sidecars that were uploaded since are left alone. */
  readonly consistencyDelayMs: number;
  /** Blocks that are looked at at once. */
  readonly concurrency: number;
  /** Only blocks whose external labels it keeps. */
  readonly selector?: Relabeling;
}

export function openMaintenanceView(config: MaintenanceConfig, tool: BucketTool): BucketView {
  const { deleteDelayMs, consistencyDelayMs, concurrency, selector } = config;
  return openCompactView(
    {
      sync: { listing: 'concurrent', metaConcurrency: concurrency },
      filters: {
        minTime: () => Number.NEGATIVE_INFINITY,
        maxTime: () => Number.POSITIVE_INFINITY,
        consistencyDelayMs,
        ...(selector === undefined ? {} : { selector }),
      },
      deleteDelayMs,
      replicaLabels: [],
    },
    tool.bucket,
    tool,
  );
}

/** The exit code of work that was done as far as it could be. */
export function exitCode(name: string, failures: readonly string[], { log }: BucketTool): number {
  for (const failure of failures) log.error(`${name} is not complete`, { err: failure });
  if (failures.length > 0) return 1;
  log.info(`${name} done`);
  return 0;
}
