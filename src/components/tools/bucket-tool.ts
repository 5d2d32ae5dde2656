import { BlockFetcher } from '#/blocks/fetcher.ts';
import type { BlockFilter } from '#/blocks/filters.ts';
import { deadline } from '#/lib/deadline.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { Runtime } from '../runtime.ts';
import type { StartProgress } from './progress.ts';

/** What a tool on a bucket works with: its result goes to `write`, everything else to the log. */
export interface BucketTool extends Runtime {
  readonly bucket: Bucket;
  readonly write: (text: string) => void;
  readonly progress: StartProgress;
}

/** How many blocks are looked at at once, as in Thanos. */
export const FETCH_CONCURRENCY = 32;

export interface BucketBlocks {
  /** Whole blocks that pass the filters, by ULID, which is the order in which they were made. */
  readonly metas: readonly BlockMeta[];
  /** The others, and why they are not whole. */
  readonly partial: ReadonlyMap<string, Error>;
}

/**
 * Looks at all blocks of the bucket, once.
 * @throws UnavailableError if any of them could not be looked at.
 */
export async function fetchBlocks(
  { bucket, clock, disk, log, metrics }: BucketTool,
  filters: readonly BlockFilter[],
  signal: AbortSignal,
): Promise<BucketBlocks> {
  const fetcher = new BlockFetcher({
    bucket,
    listing: 'concurrent',
    concurrency: FETCH_CONCURRENCY,
    clock,
    disk,
    log,
    metrics,
  });
  const { metas, partial, failures } = await fetcher.view(filters).fetch(signal);
  if (failures.length > 0) {
    throw new UnavailableError(
      `${bucket.name}: ${failures.length} blocks could not be looked at, the first because of: ${failures[0]!.message}`,
      { cause: failures[0] },
    );
  }
  return { metas: [...metas.values()].sort((a, b) => compareUtf8(a.ulid, b.ulid)), partial };
}

/** Gives `work` no more than `timeoutMs`. @throws UnavailableError that names the flag. */
export async function inTime<T>(
  { clock, signal }: BucketTool,
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using limit = deadline(clock, timeoutMs, signal);
  try {
    return await work(limit.signal);
  } catch (thrown) {
    if (!limit.expired) throw thrown;
    throw new UnavailableError(
      `the bucket could not be looked at within ${timeoutMs / 1000} s; give it longer with --timeout`,
      { cause: thrown },
    );
  }
}
