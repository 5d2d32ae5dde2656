import { join } from 'node:path';
import type { Disk } from '#/lib/disk.ts';
import { newUlid } from '#/lib/ulid.ts';
import { seededRandom } from '#/lib/random.ts';
import { emptyStats, printBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';

export const never = new AbortController().signal;

export const encode = (text: string) => new TextEncoder().encode(text);
export const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A ULID of the given time, always the same one. */
export function idAt(timeMs: number, seed = 1): string {
  return newUlid(timeMs, seededRandom(seed));
}

/** A block as Prometheus cuts it from its head; `over` changes any part of it. */
export function sampleMeta(over: Partial<BlockMeta> & { readonly ulid: string }): BlockMeta {
  return {
    minTime: 0,
    maxTime: 7_200_000,
    stats: { ...emptyStats, numSamples: 10, numSeries: 2, numChunks: 3 },
    compaction: {
      level: 1,
      sources: [over.ulid],
      deletable: false,
      parents: [],
      failed: false,
      hints: [],
    },
    version: 1,
    ...over,
  };
}

/** The section that Thanos adds, with these external labels. */
export function thanosSection(
  labels: Readonly<Record<string, string>>,
  over: Partial<NonNullable<BlockMeta['thanos']>> = {},
): { readonly thanos: NonNullable<BlockMeta['thanos']> } {
  return {
    thanos: {
      labels,
      downsample: { resolution: 0 },
      source: 'sidecar',
      segmentFiles: [],
      files: [],
      rewrites: [],
      indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
      uploadTime: '',
      ...over,
    },
  };
}

/** Writes a block's files below `directory`; contents only have to be told apart. */
export async function writeSampleBlock(
  disk: Disk,
  directory: string,
  meta: BlockMeta,
): Promise<void> {
  const block = join(directory, meta.ulid);
  await disk.write(join(block, 'chunks/000001'), encode(`${meta.ulid} first segment`));
  await disk.write(join(block, 'chunks/000002'), encode(`${meta.ulid} second`));
  await disk.write(join(block, 'index'), encode(`${meta.ulid} index`));
  await disk.write(join(block, 'tombstones'), encode('stays local'));
  await disk.write(join(block, 'meta.json'), encode(printBlockMeta(meta)));
}
