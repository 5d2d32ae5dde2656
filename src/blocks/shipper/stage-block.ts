import { join } from 'node:path';
import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import { CorruptionError, messageOf } from '#/lib/errors.ts';
import { CHUNKS_DIRNAME, INDEX_FILENAME, META_FILENAME } from '#/tsdb/block-meta.ts';
import { segmentFiles } from '../block-files.ts';

/** File systems that have no hard links to give, for now or ever. */
const WITHOUT_LINKS = new Set([
  'EXDEV',
  'EPERM',
  'EACCES',
  'EROFS',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
  'ENOSPC',
  'EDQUOT',
]);

/**
 * Gives the files of the block in `directory` second names in `staging`, that of `meta.json` last.
 * The links share their bytes with the block, and stay when it is deleted.
 * Returns why that cannot be done on this disk, `undefined` when it is done.
 * @throws CorruptionError if a file is missing.
 */
export async function stageBlock(
  disk: Disk,
  directory: string,
  staging: string,
): Promise<string | undefined> {
  try {
    await disk.makeDirectory(join(staging, CHUNKS_DIRNAME));
    const segments = await segmentFiles(disk, directory);
    const files = [...segments.map((name) => join(CHUNKS_DIRNAME, name)), INDEX_FILENAME];
    for (const file of [...files, META_FILENAME]) {
      await disk.link(join(directory, file), join(staging, file));
    }
    return undefined;
  } catch (thrown) {
    if (isMissing(thrown)) {
      throw new CorruptionError(`${directory}: the block is not whole: ${messageOf(thrown)}`, {
        cause: thrown,
      });
    }
    if (thrown instanceof Error && 'code' in thrown && WITHOUT_LINKS.has(String(thrown.code))) {
      return messageOf(thrown);
    }
    throw thrown;
  }
}
