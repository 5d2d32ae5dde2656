import { previewDeletion, deletionStatuses } from '#/blocks/deletion-report.ts';
import { DeletionView } from '#/blocks/deletion-view.ts';
import { cancelDeletion, newDeletion, putDeletion } from '#/blocks/series-deletions.ts';
import type { DeletionRequest, NewDeletion } from '#/blocks/series-deletions.ts';
import { BadInputError } from '#/lib/errors.ts';
import { formatByteSize } from '#/model/byte-size.ts';
import { fetchBlocks } from './bucket-tool.ts';
import type { BucketTool } from './bucket-tool.ts';
import { printTable } from './print-table.ts';
import type { TableFormat } from './print-table.ts';

export interface DeleteSeriesConfig extends NewDeletion {
  /** Only say what would be deleted. */
  readonly dryRun: boolean;
  readonly output: TableFormat;
}

/** Asks for a deletion of series; with `dryRun` writes what it would take of which blocks instead. */
export async function deleteSeries(config: DeleteSeriesConfig, tool: BucketTool): Promise<number> {
  if (config.selectors.length === 0) {
    throw new BadInputError('--match: expected a selector of the series to delete, got none');
  }
  const request = newDeletion(config, tool);
  if (config.dryRun) return preview(request, config.output, tool);
  await putDeletion(tool.bucket, request, tool.signal);
  tool.log.info('series deleted; take it back with --cancel', { id: request.id });
  tool.write(`${request.id}\n`);
  return 0;
}

async function preview(
  request: DeletionRequest,
  output: TableFormat,
  tool: BucketTool,
): Promise<number> {
  const { metas } = await fetchBlocks(tool, [], tool.signal);
  const extents = await previewDeletion(request, metas, tool.bucket, tool.signal);
  const rows = extents.map(({ meta, series, samples, bytes }) => [
    meta.ulid,
    `${(meta.thanos?.downsample.resolution ?? 0) / 1000}s`,
    timeText(meta.minTime),
    timeText(meta.maxTime),
    String(series),
    String(samples),
    formatByteSize(bytes),
  ]);
  const header = ['ULID', 'RESOLUTION', 'FROM', 'UNTIL', 'SERIES', 'SAMPLES', 'BYTES'];
  tool.write(printTable(output, header, rows));
  tool.log.info('nothing was deleted; do it with --no-dry-run', {
    selectors: request.selectors,
    blocks: extents.length,
    of: metas.length,
  });
  return 0;
}

/** Writes how the deletions stand; gives 1 if there are any that cannot be read. */
export async function listDeletions(output: TableFormat, tool: BucketTool): Promise<number> {
  const { bucket, clock, log, metrics, signal } = tool;
  const view = new DeletionView({
    bucket,
    maxAgeMs: Number.POSITIVE_INFINITY,
    clock,
    log,
    metrics,
  });
  await view.sync(signal);
  const { metas } = await fetchBlocks(tool, [], signal);
  const clean = new Set<string>();
  for (const request of view.requests) {
    const pending = await previewDeletion(request, metas, bucket, signal);
    const ids = new Set(pending.map(({ meta }) => meta.ulid));
    for (const { ulid } of metas) if (!ids.has(ulid)) clean.add(`${request.id}/${ulid}`);
  }
  const statuses = deletionStatuses(view.requests, metas, ({ ulid }, { id }) =>
    clean.has(`${id}/${ulid}`),
  );
  const rows = statuses.map(({ request, blocks, applied }) => [
    request.id,
    request.selectors.join(' '),
    Number.isFinite(request.mint) ? timeText(request.mint) : '-',
    timeText(request.maxt),
    timeText(request.createdMs),
    applied === blocks ? 'applied' : 'pending',
    `${applied}/${blocks}`,
    request.author,
    request.reason,
  ]);
  const header = [
    'ID',
    'SELECTORS',
    'FROM',
    'TO',
    'CREATED',
    'STATE',
    'BLOCKS',
    'AUTHOR',
    'REASON',
  ];
  tool.write(printTable(output, header, rows));
  return view.unreadable.size === 0 ? 0 : 1;
}

/** Takes deletions back. What was applied to blocks already stays gone. */
export async function cancelDeletions(ids: readonly string[], tool: BucketTool): Promise<number> {
  for (const id of ids) {
    await cancelDeletion(tool.bucket, id, tool.signal);
    tool.log.info('deletion of series taken back; what was applied to blocks stays gone', { id });
  }
  return 0;
}

function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}
