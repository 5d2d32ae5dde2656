import type { BlockMeta } from './block-meta.ts';

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

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = fieldOf(value, name);
  return Array.isArray(list) ? list : [];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}
