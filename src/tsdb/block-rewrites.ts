import type { Random } from '#/lib/random.ts';
import { newUlid, ulidTimeMs } from '#/lib/ulid.ts';
import type { MatchType } from '#/model/matcher.ts';
import type { RelabelConfig } from '#/model/relabel.ts';
import type { BlockMeta } from './block-meta.ts';
import type { PlainDeletion } from './series-deletion.ts';

/**
 * The ULID of a block that takes the place of another: one that sorts before it, with the same sources.
 * Of blocks with the same sources every reader, Thanos's included, takes the one with the least ULID and
 * the others for its duplicates, so the new block counts from the moment its `meta.json` is there. Whatever goes by
 * sources, such as downsampling, finds nothing new.
 * @throws BadInputError if `id` is no ULID.
 */
export function successorId(id: string, random: Random): string {
  return newUlid(ulidTimeMs(id) - 1, random);
}

/**
 * The deletions of series (`SeriesDeletion.id`) that a block says it has been through, each as its
 * `thanos.rewrites` have it: nothing that they select is in it. A relabeling makes all before it void, since
 * it may give any series any labels.
 *
 * Thanos copies `rewrites` when it downsamples a block, and drops them when it compacts: what it made of
 * several blocks has to go through the deletions once more.
 */
export function appliedDeletions({ thanos }: BlockMeta): ReadonlyMap<string, unknown> {
  const applied = new Map<string, unknown>();
  for (const rewrite of thanos?.rewrites ?? []) {
    if (listOf(rewrite, 'relabels_applied').length > 0) applied.clear();
    for (const deletion of listOf(rewrite, 'deletions_applied')) {
      const id = fieldOf(deletion, 'request_id');
      if (typeof id === 'string' && id !== '') applied.set(id, deletion);
    }
  }
  return applied;
}

/** What a block made of others says in `thanos.rewrites`: the deletions that all of them have been through. */
export function commonRewrites(blocks: readonly BlockMeta[]): readonly unknown[] {
  const [first = new Map<string, unknown>(), ...others] = blocks.map(appliedDeletions);
  const common = [...first].filter(([id]) => others.every((one) => one.has(id)));
  return common.length === 0 ? [] : [{ deletions_applied: common.map(([, deletion]) => deletion) }];
}

/** The shortest `thanos.rewrites` that tell of these deletions. */
export function leanRewrites(ids: Iterable<string>): readonly unknown[] {
  const deletions = Array.from(ids, (id) => ({ request_id: id }));
  return deletions.length === 0 ? [] : [{ deletions_applied: deletions }];
}

/** In the order of Prometheus's numbers for them. */
const MATCH_TYPES: readonly MatchType[] = ['=', '!=', '=~', '!~'];

/**
 * What a block that was written anew adds to the `rewrites` of the old one: it was relabeled, and then
 * `deletions` were applied. All time is told by leaving out the intervals.
 */
export function rewriteEntry(
  block: BlockMeta,
  deletions: readonly PlainDeletion[],
  relabeling: readonly RelabelConfig[] = [],
): unknown {
  const { sources } = block.compaction;
  return {
    ...(sources.length === 0 ? {} : { sources }),
    ...(deletions.length === 0
      ? {}
      : { deletions_applied: deletions.map((one) => goDeletion(one, block)) }),
    ...(relabeling.length === 0 ? {} : { relabels_applied: relabeling.map(goRelabeling) }),
  };
}

function goDeletion({ id, matchers, intervals }: PlainDeletion, block: BlockMeta): unknown {
  const bounded = intervals.filter(
    ({ mint, maxt }) => Number.isFinite(mint) || Number.isFinite(maxt),
  );
  return {
    matchers: matchers.map(({ type, name, value }) => ({
      Type: MATCH_TYPES.indexOf(type),
      Name: name,
      Value: value,
    })),
    ...(bounded.length === 0
      ? {}
      : {
          // Go takes no number beyond 64 bits, and what lies outside of the block means nothing here.
          intervals: bounded.map(({ mint, maxt }) => ({
            Mint: Number.isSafeInteger(mint) ? mint : block.minTime,
            Maxt: Number.isSafeInteger(maxt) ? maxt : block.maxTime - 1,
          })),
        }),
    ...(id === undefined ? {} : { request_id: id }),
  };
}

/** With the defaults that Prometheus fills in when it reads a rule, and prints. */
function goRelabeling(config: RelabelConfig): unknown {
  const { source_labels = [], modulus = 0, target_label = '', action = 'replace' } = config;
  return {
    ...(source_labels.length === 0 ? {} : { source_labels }),
    separator: config.separator ?? ';',
    regex: config.regex ?? '(.*)',
    ...(modulus === 0 ? {} : { modulus }),
    ...(target_label === '' ? {} : { target_label }),
    replacement: config.replacement ?? '$1',
    action: action.toLowerCase(),
  };
}

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = fieldOf(value, name);
  return Array.isArray(list) ? list : [];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}
