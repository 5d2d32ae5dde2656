import { join } from 'node:path';
import { writeLocalMeta } from '#/blocks/block-files.ts';
import type { Disk } from '#/lib/disk.ts';
import { Block } from '#/tsdb/block.ts';
import { TOMBSTONES_FILENAME } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { healthIssues, indexHealth } from '#/tsdb/index-health.ts';
import { GroupFault } from './group-fault.ts';

/**
 * Checks a block that was just made, and completes its meta with the sizes in its index.
 * @throws GroupFault if it breaks a rule that its inputs kept.
 */
export async function completeBlock(
  disk: Disk,
  directory: string,
  madeOf: readonly BlockMeta[],
  signal: AbortSignal,
): Promise<BlockMeta> {
  const inputs = madeOf.map(({ ulid }) => ulid);
  await disk.remove(join(directory, TOMBSTONES_FILENAME));
  const { index, meta } = await Block.open(disk, directory, signal);
  const health = await indexHealth(index, meta, signal);
  const issue = healthIssues(health)[0];
  if (issue !== undefined) {
    throw wrongResult(`block ${meta.ulid} came out wrong: ${issue.message}`, inputs);
  }
  if (health.series !== meta.stats.numSeries || health.chunks !== meta.stats.numChunks) {
    throw wrongResult(
      `block ${meta.ulid} came out wrong: its index has ${health.series} series and ${health.chunks} chunks, ` +
        `${meta.stats.numSeries} and ${meta.stats.numChunks} were written`,
      inputs,
    );
  }
  const indexStats = { seriesMaxSize: health.seriesMaxBytes, chunkMaxSize: health.chunkMaxBytes };
  const completed = { ...meta, ...(meta.thanos && { thanos: { ...meta.thanos, indexStats } }) };
  await writeLocalMeta(disk, directory, completed);
  return completed;
}

/** A result that must not be uploaded; its inputs stay as they are. */
export function wrongResult(message: string, inputs: readonly string[]): GroupFault {
  const ids = inputs.map((id) => `--id=${id}`).join(' ');
  return new GroupFault('wrong-result', `${message}; nothing was uploaded`, {
    blocks: inputs,
    command: `hindsight tools bucket verify ${ids} --objstore.config-file=<file>`,
  });
}
