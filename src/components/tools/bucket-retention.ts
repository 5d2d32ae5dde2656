import { CompactMetrics } from '#/compact/compact-metrics.ts';
import type { DownsampleAges } from '#/compact/downsample-plan.ts';
import type { RetentionRule, Retentions } from '#/compact/retention-rules.ts';
import { describeLook } from '#/compact/rule-retention.ts';
import { RetentionQueue } from '#/compact/retention.ts';
import type { BucketTool } from './bucket-tool.ts';
import { exitCode, openMaintenanceView } from './maintenance.ts';
import type { MaintenanceConfig } from './maintenance.ts';

export interface RetentionConfig extends MaintenanceConfig {
  /** For series that no rule selects. */
  readonly retentions: Retentions;
  readonly rules: readonly RetentionRule[];
  /** `undefined` while nobody downsamples the bucket: then no block waits for that. */
  readonly downsampleAges: DownsampleAges | undefined;
  /** Only say what would be done. */
  readonly dryRun: boolean;
}

/**
 * Does what a compactor's retention does, once: marks the blocks whose time is over for deletion, but
 * for those of which coarser ones have yet to be made. With `dryRun` writes a line for each instead.
 * Blocks of which some series are past a rule's retention are left for a compactor to rewrite.
 */
export async function retainBlocks(config: RetentionConfig, tool: BucketTool): Promise<number> {
  const { retentions, rules, downsampleAges } = config;
  const queue = new RetentionQueue(
    openMaintenanceView(config, tool),
    { ...tool, metrics: new CompactMetrics(tool.metrics), options: {} },
    { retentions, rules, ages: downsampleAges },
  );
  if (!config.dryRun) {
    const { failures } = await queue.pass(tool.signal);
    return exitCode('retention', failures, tool);
  }
  const { expired, held, rewritten } = await queue.preview(tool.signal);
  for (const block of expired) {
    tool.write(`${block.ulid} would be marked for deletion: ${queue.reason(block)}\n`);
  }
  for (const { ulid } of held) {
    tool.write(`${ulid} would be kept past its retention: it is still to be downsampled\n`);
  }
  for (const look of rewritten) tool.write(`${describeLook(look)}; a compactor does that\n`);
  tool.write(`${expired.length} blocks would be marked for deletion, ${held.length} held\n`);
  return 0;
}
