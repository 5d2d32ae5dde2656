import type { Random } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import type { MatchType } from '#/model/matcher.ts';
import { Resolution } from './block-meta.ts';
import type { BlockMeta } from './block-meta.ts';
import type { SeriesDeletion } from './series-deletion.ts';

/**
 * What takes the place of the middle of a ULID that is a source only because a block was written anew:
 *
 *     time <10 characters> | REWR1TTEN | random <7 characters>
 */
const REWRITTEN = 'REWR1TTEN';
const TIME_LENGTH = 10;

/** A source that no block has yet, for one that is written anew. */
export function rewriteSource(nowMs: number, random: Random): string {
  const fresh = newUlid(nowMs, random);
  return fresh.slice(0, TIME_LENGTH) + REWRITTEN + fresh.slice(TIME_LENGTH + REWRITTEN.length);
}

/** The sources of a block but for those that say no more than that it was written anew. */
export function originalSources({ compaction }: BlockMeta): readonly string[] {
  return compaction.sources.filter((source) => !source.startsWith(REWRITTEN, TIME_LENGTH));
}

/**
 * The sources of what is to take the place of `block`: its own and `fresh` (of `rewriteSource`), so that
 * every reader, Thanos's included, takes the old block for a duplicate of the new one. A downsampled
 * block also gets those of the finer blocks in `all` that were written anew and whose data it has: else
 * Thanos would take these for blocks that were never downsampled.
 */
export function rewrittenSources(
  block: BlockMeta,
  fresh: string,
  all: Iterable<BlockMeta>,
): readonly string[] {
  const sources = new Set([...block.compaction.sources, fresh]);
  const resolutionMs = resolutionOf(block);
  for (const other of all) {
    if (resolutionOf(other) >= resolutionMs) continue;
    const isCovered = originalSources(other).every((source) => sources.has(source));
    if (isCovered) for (const source of other.compaction.sources) sources.add(source);
  }
  return [...sources].sort(compareUtf8);
}

/** One entry of `thanos.rewrites`, as Go's JSON has it (pkg/block/metadata/meta.go in Thanos). */
interface RewriteEntry {
  /** Of the block that was written anew. */
  readonly sources?: readonly string[];
  readonly deletions_applied: readonly unknown[];
}

/** In the order of Prometheus's numbers for them. */
const MATCH_TYPES: readonly MatchType[] = ['=', '!=', '=~', '!~'];

/** What a block that was written anew without `deletions` adds to the `rewrites` of the old one. */
export function rewriteEntry(block: BlockMeta, deletions: readonly SeriesDeletion[]): unknown {
  const entry: RewriteEntry = {
    sources: block.compaction.sources,
    deletions_applied: deletions.map(({ id, matchers, intervals }) => ({
      matchers: matchers.map(({ type, name, value }) => ({
        Type: MATCH_TYPES.indexOf(type),
        Name: name,
        Value: value,
      })),
      // Go takes no number beyond 64 bits, and what lies outside of the block means nothing here.
      intervals: intervals.map(({ mint, maxt }) => ({
        Mint: Math.max(mint, block.minTime),
        Maxt: Math.min(maxt, block.maxTime - 1),
      })),
      ...(id === undefined ? {} : { request_id: id }),
    })),
  };
  return entry;
}

/** The requests of deletion (`SeriesDeletion.id`) that nothing is left of in a block. */
export function appliedDeletions(block: BlockMeta): ReadonlySet<string> {
  return new Set(deletionsById(block).keys());
}

/** The `rewrites` of a block made of several: what all of them say was deleted. */
export function commonRewrites(inputs: readonly BlockMeta[]): readonly unknown[] {
  const [first = new Map<string, unknown>(), ...others] = inputs.map(deletionsById);
  const common = [...first].filter(([id]) => others.every((other) => other.has(id)));
  if (common.length === 0) return [];
  const entry: RewriteEntry = { deletions_applied: common.map(([, deletion]) => deletion) };
  return [entry];
}

/** What `thanos.rewrites` says of deletions that were asked for in the bucket. */
function deletionsById({ thanos }: BlockMeta): ReadonlyMap<string, unknown> {
  const found = new Map<string, unknown>();
  for (const entry of thanos?.rewrites ?? []) {
    const deletions = isObject(entry) ? entry['deletions_applied'] : undefined;
    for (const deletion of Array.isArray(deletions) ? (deletions as unknown[]) : []) {
      const id = isObject(deletion) ? deletion['request_id'] : undefined;
      if (typeof id === 'string' && id !== '') found.set(id, deletion);
    }
  }
  return found;
}

function resolutionOf({ thanos }: BlockMeta): number {
  return thanos?.downsample.resolution ?? Resolution.Raw;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
