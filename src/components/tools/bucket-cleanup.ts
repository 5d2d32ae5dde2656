import { Cleaner } from '#/compact/cleaner.ts';
import { CompactMetrics } from '#/compact/compact-metrics.ts';
import type { BucketTool } from './bucket-tool.ts';
import { exitCode, openMaintenanceView } from './maintenance.ts';
import type { MaintenanceConfig } from './maintenance.ts';
import { progressOf } from './progress.ts';

/**
 * Does what a compactor's cleaning does, once: deletes the blocks whose mark is old enough, and what
 * uploads that were given up left behind. Gives 1 if something could not be deleted.
 */
export async function cleanBucket(config: MaintenanceConfig, tool: BucketTool): Promise<number> {
  const progress = progressOf(tool.progress, 'cleaning');
  const cleaner = new Cleaner(
    openMaintenanceView(config, tool),
    { ...tool, metrics: new CompactMetrics(tool.metrics) },
    { deleteDelayMs: config.deleteDelayMs, onBlock: progress.step },
  );
  const { failures } = await cleaner.pass(tool.signal);
  progress.end();
  return exitCode('cleanup', failures, tool);
}
