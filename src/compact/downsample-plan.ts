import { compareUtf8 } from '#/lib/utf8.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';

/** How long a time range a block must have before it is downsampled. */
export interface DownsampleAges {
  /** Raw to 5 minutes. */
  readonly fiveMinutesMs: number;
  /** 5 minutes to 1 hour. */
  readonly oneHourMs: number;
}

export const DEFAULT_DOWNSAMPLE_AGES: DownsampleAges = {
  fiveMinutesMs: 40 * 3_600_000,
  oneHourMs: 240 * 3_600_000,
};

export interface DownsampleJob {
  readonly block: BlockMeta;
  readonly toMs: number;
}

/**
 * The blocks to downsample, by ULID: those that are large enough and have an ancestor that no block
 * of the next resolution has. Blocks of a resolution that nobody writes are left alone.
 * Source: cmd/thanos/downsample.go in Thanos.
 */
export function planDownsampling(
  metas: Iterable<BlockMeta>,
  noDownsample: ReadonlySet<string>,
  ages: DownsampleAges = DEFAULT_DOWNSAMPLE_AGES,
): DownsampleJob[] {
  const blocks = [...metas].sort((a, b) => compareUtf8(a.ulid, b.ulid));
  const covered = new Map<number, Set<string>>([
    [Resolution.FiveMinutes, new Set()],
    [Resolution.OneHour, new Set()],
  ]);
  for (const block of blocks) {
    const resolution = resolutionOf(block);
    if (resolution === Resolution.Raw) continue;
    const sources = covered.get(resolution);
    for (const source of block.compaction.sources) sources?.add(source);
  }
  return blocks.flatMap((block) => {
    const step = downsampleStep(resolutionOf(block), ages);
    if (step === undefined || noDownsample.has(block.ulid)) return [];
    const done = covered.get(step.toMs)!;
    const isMissing = block.compaction.sources.some((source) => !done.has(source));
    const isLarge = block.maxTime - block.minTime >= step.ageMs;
    return isMissing && isLarge ? [{ block, toMs: step.toMs }] : [];
  });
}

/** What is made of blocks of a resolution, and how long a time they must span; `undefined` for nothing. */
export function downsampleStep(
  resolutionMs: number,
  ages: DownsampleAges,
): { readonly toMs: number; readonly ageMs: number } | undefined {
  switch (resolutionMs) {
    case Resolution.Raw:
      return { toMs: Resolution.FiveMinutes, ageMs: ages.fiveMinutesMs };
    case Resolution.FiveMinutes:
      return { toMs: Resolution.OneHour, ageMs: ages.oneHourMs };
    default:
      return undefined;
  }
}

export function resolutionOf({ thanos }: BlockMeta): number {
  return thanos?.downsample.resolution ?? Resolution.Raw;
}
