import { blockExists } from '#/blocks/block-files.ts';
import { markBlock, markName } from '#/blocks/markers.ts';
import type { MarkKind } from '#/blocks/markers.ts';
import { BadInputError } from '#/lib/errors.ts';
import type { BucketTool } from './bucket-tool.ts';

/** Marks by the names of their files, as `--marker` takes them. */
export const markKinds: Readonly<Record<string, MarkKind>> = {
  'deletion-mark.json': 'deletion',
  'no-compact-mark.json': 'no-compact',
  'no-downsample-mark.json': 'no-downsample',
};

export interface MarkConfig {
  readonly ids: readonly string[];
  readonly kind: MarkKind;
  /** Why, for people; needed unless marks are removed. */
  readonly details: string;
  readonly remove: boolean;
}

/** Sets or removes a mark of blocks; gives 1 if there is nothing in the bucket of one of them. */
export async function markBlocks(config: MarkConfig, tool: BucketTool): Promise<number> {
  const { ids, kind, details, remove } = config;
  const { bucket, clock, log, signal } = tool;
  if (ids.length === 0) throw new BadInputError('--id: expected the ULID of a block, got none');
  if (!remove && details === '') {
    throw new BadInputError('--details: expected a reason for the mark, got none');
  }
  let missing = 0;
  for (const block of ids) {
    const name = markName(block, kind);
    if (!(await blockExists(bucket, block, signal))) {
      log.error('there is no such block in the bucket', { block });
      missing++;
    } else if (remove) {
      await bucket.remove(name, { signal });
      log.info('mark removed', { block, mark: name });
    } else if (await markBlock(bucket, block, { kind, details, clock, signal })) {
      log.info('block marked', { block, mark: name });
    } else log.warn('block has this mark already; it stays as it is', { block, mark: name });
  }
  return missing === 0 ? 0 : 1;
}
