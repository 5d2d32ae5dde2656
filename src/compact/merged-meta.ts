import { compareUtf8 } from '#/lib/utf8.ts';
import type { BlockMeta, ThanosMeta } from '#/tsdb/block-meta.ts';
import type { BlockIdentity } from '#/tsdb/block-writer.ts';

const FROM_OUT_OF_ORDER = 'from-out-of-order';

/**
 * Who a block is that is made of others: one level up, with all their ancestors, over all their time.
 * Source: CompactBlockMetas in tsdb/compact.go of Prometheus.
 */
export function mergedIdentity(
  ulid: string,
  inputs: readonly BlockMeta[],
  thanos: ThanosMeta,
): BlockIdentity {
  const sources = new Set(inputs.flatMap(({ compaction }) => compaction.sources));
  const isOutOfOrder = inputs.every(({ compaction }) =>
    compaction.hints.includes(FROM_OUT_OF_ORDER),
  );
  return {
    ulid,
    minTime: Math.min(...inputs.map(({ minTime }) => minTime)),
    maxTime: Math.max(...inputs.map(({ maxTime }) => maxTime)),
    compaction: {
      level: Math.max(...inputs.map(({ compaction }) => compaction.level)) + 1,
      sources: [...sources].sort(compareUtf8),
      deletable: false,
      parents: inputs.map((input) => ({
        ulid: input.ulid,
        minTime: input.minTime,
        maxTime: input.maxTime,
      })),
      failed: false,
      hints: isOutOfOrder ? [FROM_OUT_OF_ORDER] : [],
    },
    thanos,
  };
}
