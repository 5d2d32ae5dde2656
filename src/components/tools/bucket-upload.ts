import { Shipper } from '#/blocks/shipper.ts';
import { BadInputError } from '#/lib/errors.ts';
import type { Labels } from '#/model/labels.ts';
import type { BucketTool } from './bucket-tool.ts';
import { progressOf } from './progress.ts';

export interface UploadBlocksConfig {
  /** A directory with blocks. */
  readonly path: string;
  /** The external labels that they get; at least one. */
  readonly labels: Labels;
  readonly uploadCompacted: boolean;
  /** How many segment files of a block go up at once. */
  readonly concurrency: number;
}

/**
 * Uploads the blocks of a directory that the bucket does not have yet, oldest first, as a sidecar
 * does: compacted ones only when asked to, and then none that overlaps a block with the same labels.
 */
export async function uploadBlocks(config: UploadBlocksConfig, tool: BucketTool): Promise<number> {
  const { path, labels, uploadCompacted, concurrency } = config;
  if (labels.size === 0) {
    throw new BadInputError('--label: expected the external labels of the blocks, got none');
  }
  if ((await tool.disk.stat(path))?.kind !== 'directory') {
    throw new BadInputError(`--path: no directory ${path}`);
  }
  const progress = progressOf(tool.progress, 'uploading');
  const shipper = new Shipper(
    {
      directory: path,
      bucket: tool.bucket,
      labels: () => labels,
      source: 'bucket.upload',
      // That of a sidecar in the same directory speaks of its bucket, which may be another one.
      stateFileName: '',
      uploadCompacted,
      uploadConcurrency: concurrency,
      onBlock: progress.step,
    },
    tool,
  );
  const uploaded = await shipper.sync(tool.signal);
  progress.end();
  tool.log.info('synced blocks', { uploaded });
  return 0;
}
