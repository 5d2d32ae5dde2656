import { CorruptionError } from '#/lib/errors.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';

/** What is wrong with a group, by what must be done about it. */
export const faultKinds = [
  /** Blocks overlap, and vertical compaction is off. */
  'overlap',
  /** Two blocks were made of the same ancestor, and vertical compaction is off. */
  'shared-sources',
  /** A block's index breaks the rules. */
  'unhealthy-block',
  /** A block's bytes are damaged, or not all there. */
  'damaged-block',
  /** Blocks would be merged around a hole whose data may be in a block that cannot be read. */
  'unreadable-block',
  /** What was made of good blocks is not right; nothing of it was uploaded. */
  'wrong-result',
] as const;

export type FaultKind = (typeof faultKinds)[number];

/**
 * A fault that trying again does not mend: the group is left alone until its blocks change, and the
 * others go on.
 */
export class GroupFault extends Error {
  override readonly name = 'GroupFault';
  readonly kind: FaultKind;
  /** The blocks at fault. */
  readonly blocks: readonly string[];
  /** A command line that lets the group go on, for somebody to think about. */
  readonly command: string;

  constructor(
    kind: FaultKind,
    message: string,
    of: { readonly blocks: readonly string[]; readonly command: string },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.kind = kind;
    this.blocks = of.blocks;
    this.command = of.command;
  }
}

/** Keeps blocks out of compactions from now on; their data stay readable. */
export function noCompactCommand(blocks: readonly string[], details: string): string {
  const ids = blocks.map((id) => `--id=${id}`).join(' ');
  return `hindsight tools bucket mark ${ids} --marker=no-compact-mark.json --details='${details}' --objstore.config-file=<file>`;
}

/** Runs `work`, whose damage is that of the blocks it reads. */
export async function readable<T>(
  of: BlockMeta | readonly BlockMeta[],
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof CorruptionError)) throw thrown;
    const blocks = (Array.isArray(of) ? of : [of]).map(({ ulid }: BlockMeta) => ulid);
    throw new GroupFault(
      'damaged-block',
      `damaged data in ${blocks.length === 1 ? `block ${blocks[0]}` : `one of ${blocks.join(', ')}`}: ${thrown.message}`,
      { blocks, command: noCompactCommand(blocks, 'damaged') },
      { cause: thrown },
    );
  }
}
