import { join } from 'node:path';
import { emptyThanosMeta, readLocalMeta, segmentFiles } from '#/blocks/block-files.ts';
import { BadInputError } from '#/lib/errors.ts';
import { isUlid } from '#/lib/ulid.ts';
import type { Labels } from '#/model/labels.ts';
import { Block } from '#/tsdb/block.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import type { BucketTool } from '../bucket-tool.ts';
import { IMPORT_SOURCE } from './place-blocks.ts';
import type { ImportBlock } from './place-blocks.ts';

/**
 * The blocks of a Prometheus's data directory, and of one of its snapshots, each once; they are left as
 * they are. What is only in the write-ahead log is not among them: a snapshot has it as a block.
 * @throws BadInputError if there is no such directory, or a block should not get into a bucket.
 */
export async function findPrometheusBlocks(
  source: { readonly path: string; readonly snapshot: string | undefined },
  labels: Labels,
  tool: BucketTool,
): Promise<ImportBlock[]> {
  const { path, snapshot } = source;
  const roots = [path, ...(snapshot === undefined ? [] : [join(path, 'snapshots', snapshot)])];
  const directories = new Map<string, string>();
  for (const root of roots) {
    if ((await tool.disk.stat(root))?.kind !== 'directory') {
      throw new BadInputError(`--tsdb.path: no directory ${root}`);
    }
    for (const { name, kind } of await tool.disk.list(root)) {
      if (kind === 'directory' && isUlid(name)) directories.set(name, join(root, name));
    }
  }
  const progress = tool.progress('checking', directories.size);
  const blocks: ImportBlock[] = [];
  for (const [ulid, from] of directories) {
    blocks.push(await importBlock(from, labels, tool));
    progress.step(ulid);
  }
  progress.end();
  return blocks.sort((a, b) => a.meta.minTime - b.meta.minTime);
}

async function importBlock(
  from: string,
  labels: Labels,
  { disk, signal }: BucketTool,
): Promise<ImportBlock> {
  const local = await readLocalMeta(disk, from);
  const block = await Block.open(disk, from, signal);
  if (block.tombstones.size > 0) {
    throw new BadInputError(
      `${from}: ${block.tombstones.size} series of the block have deleted samples, which a bucket would show again; ` +
        'have Prometheus remove them first: POST /api/v1/admin/tsdb/clean_tombstones',
    );
  }
  const health = await indexHealth(block.index, local, signal);
  const [issue] = healthIssues(health);
  if (issue !== undefined) throw new BadInputError(`${from}: ${issue.message}`);
  const own = local.thanos?.labels ?? {};
  if (labels.size === 0 && Object.keys(own).length === 0) {
    throw new BadInputError('--label: expected the external labels of the blocks, got none');
  }
  const meta = {
    ...local,
    thanos: {
      ...(local.thanos ?? emptyThanosMeta),
      ...(labels.size === 0 ? {} : { labels: labels.toObject() }),
      segmentFiles: await segmentFiles(disk, from),
      indexStats: { seriesMaxSize: health.seriesMaxBytes, chunkMaxSize: health.chunkMaxBytes },
      source: IMPORT_SOURCE,
    },
  };
  return {
    meta,
    identity: meta.ulid,
    named: () => Promise.resolve({ directory: from, meta }),
  };
}
