import { labelShard, MarkFilter, timePartition } from '#/blocks/filters.ts';
import type { BlockFilter } from '#/blocks/filters.ts';
import type { Relabeling } from '#/model/relabel.ts';
import { formatGoDuration } from '#/model/time.ts';
import type { TimeOrDuration } from '#/model/time-or-duration.ts';
import { printBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { FETCH_CONCURRENCY, fetchBlocks, inTime } from './bucket-tool.ts';
import type { BucketTool } from './bucket-tool.ts';
import { compileMetaTemplate } from './meta-template.ts';

export interface ListBlocksConfig {
  /** `''` for ULIDs, `wide`, `json`, or a template in the language of Go. */
  readonly output: string;
  /** Leave out blocks that are marked for deletion. */
  readonly excludeDeleted: boolean;
  readonly minTime: TimeOrDuration;
  readonly maxTime: TimeOrDuration;
  readonly selector?: Relabeling;
  readonly timeoutMs: number;
}

/** Writes one line, or as many as JSON takes, for each block that the filters let pass, by ULID. */
export async function listBlocks(config: ListBlocksConfig, tool: BucketTool): Promise<number> {
  const print = printerOf(config.output);
  const { metas } = await inTime(tool, config.timeoutMs, (signal) =>
    fetchBlocks(tool, filtersOf(config, tool), signal),
  );
  for (const meta of metas) tool.write(`${print(meta)}\n`);
  tool.log.info('ls done', { objects: metas.length });
  return 0;
}

function filtersOf(
  { minTime, maxTime, selector, excludeDeleted }: ListBlocksConfig,
  { bucket, clock, log }: BucketTool,
): BlockFilter[] {
  const filters = [
    timePartition(
      () => minTime(clock.now()),
      () => maxTime(clock.now()),
    ),
  ];
  if (selector !== undefined) filters.push(labelShard(selector));
  if (excludeDeleted) {
    filters.push(
      MarkFilter.deletion({ bucket, concurrency: FETCH_CONCURRENCY, log, delayMs: 0, clock }),
    );
  }
  return filters;
}

/** @throws BadInputError if `output` is a template that cannot be used. */
function printerOf(output: string): (meta: BlockMeta) => string {
  switch (output) {
    case '':
      return ({ ulid }) => ulid;
    case 'wide':
      return printWide;
    case 'json':
      return (meta) => printBlockMeta(meta).trimEnd();
    default:
      return compileMetaTemplate(output);
  }
}

function printWide({ ulid, minTime, maxTime, compaction, thanos }: BlockMeta): string {
  const from = Math.trunc(minTime / 1000);
  const until = Math.trunc(maxTime / 1000);
  return (
    `${ulid} -- ${secondsText(from)} - ${secondsText(until)} ` +
    `Diff: ${formatGoDuration((until - from) * 1000)}, Compaction: ${compaction.level}, ` +
    `Downsample: ${thanos?.downsample.resolution ?? 0}, Source: ${thanos?.source ?? ''}`
  );
}

/** Whole seconds since the epoch as `2026-01-02T03:04:05Z`. */
export function secondsText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
