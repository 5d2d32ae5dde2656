import xxhash from 'xxhash-wasm';
import type { Labels } from '#/model/labels.ts';
import type { ShardInfo } from './store.ts';

const hasher = await xxhash();

/** Whether a series with these (complete) labels belongs to the shard; without one, every series does. */
export type ShardFilter = (labels: Labels) => boolean;

/**
 * Keeps a series iff the xxHash64 of `name 0xFF value 0xFF …` over the shard's labels (or all
 * others, without `by`), mod `totalShards`, is `shardIndex`. All stores must agree to the bit:
 * pkg/store/storepb/shard_info.go in Thanos.
 */
export function shardFilter(shard: ShardInfo | undefined): ShardFilter {
  if (shard === undefined || shard.totalShards < 1) return () => true;
  const { by, totalShards, shardIndex } = shard;
  const names = new Set(shard.labels);
  return ({ flat }) => {
    const parts: Uint8Array[] = [];
    for (let i = 0; i < flat.length; i += 2) {
      if (names.has(flat[i]!) !== by) continue;
      parts.push(Buffer.from(flat[i]!), separator, Buffer.from(flat[i + 1]!), separator);
    }
    return Number(hasher.h64Raw(Buffer.concat(parts)) % BigInt(totalShards)) === shardIndex;
  };
}

const separator = Uint8Array.of(0xff);
