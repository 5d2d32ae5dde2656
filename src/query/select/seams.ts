import type { AggregateChunk } from '#/storeapi/store.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { Replicas } from './chunk-bytes.ts';
import { resolutionOf, windowStart } from './resolution.ts';
import type { TimeRange } from './time-range.ts';

/** A chunk, or the part of a chunk that counts. */
export interface ChunkPart extends AggregateChunk {
  /** Samples outside of `[mint, maxt]` are in another chunk, too, and left to it. */
  readonly isCut?: true;
}

type Part<Chunk> = Chunk & Pick<ChunkPart, 'isCut'>;

/** The chunks of one resolution, finest first. */
interface Level<Chunk> {
  readonly resolutionMs: number;
  readonly chunks: readonly Chunk[];
}

/**
 * Makes chunks of several resolutions follow each other, as they come where one resolution ends and
 * another takes over. Finer data wins wherever it covers all of a coarser chunk within `asked`. Any
 * other coarse chunk counts as a whole, and what is finer is cut around it: in the middle of a coarse
 * chunk nobody knows what a counter's value was, nor which scrapes a window has seen already.
 *
 * Takes chunks in time order and gives them so; those of one resolution come back as they are.
 */
export function joinResolutions<Chunk extends AggregateChunk>(
  chunks: readonly Chunk[],
  asked: TimeRange,
): readonly Part<Chunk>[] {
  const levels = levelsOf(chunks);
  if (levels.length < 2) return chunks;
  let covered: TimeRange[] = [];
  const kept = levels.map(({ resolutionMs, chunks: candidates }) => {
    const needed = candidates.filter(
      (chunk) => !isCovered(within(asked, spanOf(chunk, resolutionMs)), covered),
    );
    covered = joined([...covered, ...needed.map((chunk) => spanOf(chunk, resolutionMs))]);
    return needed;
  });
  return kept
    .flatMap((finer, i) => {
      const coarser = levels.slice(i + 1).flatMap(({ resolutionMs }, above) => {
        return kept[i + 1 + above]!.map((chunk) => spanOf(chunk, resolutionMs));
      });
      return finer.flatMap((chunk) => cutAround(chunk, joined(coarser)));
    })
    .sort((a, b) => a.mint - b.mint || a.maxt - b.maxt);
}

/**
 * The same for the chunks of several replicas, which stay apart. Coarse chunks that compaction has
 * made of all replicas stand in for the finer ones of each, as those of one replica do for its own:
 * samples beside a window that counts them would count twice.
 */
export function joinReplicas(
  replicas: Replicas,
  asked: TimeRange,
): readonly (readonly ChunkPart[])[] {
  const [merged, ...others] = replicas;
  if (others.length === 0 || !merged!.some(({ raw }) => raw === undefined)) {
    return replicas.map((chunks) => joinResolutions(chunks, asked));
  }
  const all = replicas
    .flatMap((chunks, replica) => chunks.map((chunk) => ({ ...chunk, replica })))
    .sort((a, b) => a.mint - b.mint || a.maxt - b.maxt);
  const parts = joinResolutions(all, asked);
  return replicas.map((_, i) => parts.filter(({ replica }) => replica === i));
}

function levelsOf<Chunk extends AggregateChunk>(chunks: readonly Chunk[]): Level<Chunk>[] {
  if (!chunks.some(({ raw }) => raw === undefined)) return [{ resolutionMs: 0, chunks }];
  const byResolution = Map.groupBy(chunks, resolutionOf);
  return [...byResolution]
    .map(([resolutionMs, members]) => ({ resolutionMs, chunks: members }))
    .sort((a, b) => a.resolutionMs - b.resolutionMs);
}

/** What a chunk speaks for: its first window begins before the sample that stands for it. */
function spanOf({ mint, maxt }: AggregateChunk, resolutionMs: number): TimeRange {
  return resolutionMs === 0 ? { mint, maxt } : { mint: windowStart(mint, resolutionMs), maxt };
}

function within(asked: TimeRange, { mint, maxt }: TimeRange): TimeRange {
  return { mint: Math.max(mint, asked.mint), maxt: Math.min(maxt, asked.maxt) };
}

/** The union of ranges in time order; what is missing between two scrapes is no gap. */
function joined(ranges: readonly TimeRange[]): TimeRange[] {
  const union: TimeRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.mint - b.mint)) {
    const last = union.at(-1);
    if (last === undefined || range.mint > last.maxt + Resolution.FiveMinutes) union.push(range);
    else union[union.length - 1] = { ...last, maxt: Math.max(last.maxt, range.maxt) };
  }
  return union;
}

/** A scrape or two may come after the beginning and before the end, but no window may be left out. */
function isCovered({ mint, maxt }: TimeRange, by: readonly TimeRange[]): boolean {
  return by.some(
    (range) =>
      range.mint < mint + Resolution.FiveMinutes && range.maxt > maxt - Resolution.FiveMinutes,
  );
}

/** The parts of a chunk that none of the ranges, which are in order, covers. */
function cutAround<Chunk extends AggregateChunk>(
  chunk: Chunk,
  ranges: readonly TimeRange[],
): Part<Chunk>[] {
  const touching = ranges.filter(({ mint, maxt }) => mint <= chunk.maxt && maxt >= chunk.mint);
  if (touching.length === 0) return [chunk];
  const parts: Part<Chunk>[] = [];
  let from = chunk.mint;
  for (const { mint, maxt } of touching) {
    if (from < mint) parts.push({ ...chunk, mint: from, maxt: mint - 1, isCut: true });
    from = maxt + 1;
  }
  if (from <= chunk.maxt) parts.push({ ...chunk, mint: from, isCut: true });
  return parts;
}
