import { createHash } from 'node:crypto';
import { groupKey as labelsKey } from '#/blocks/filters.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { Labels } from '#/model/labels.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { TimeSpan } from './planner.ts';

/** Blocks that may be compacted with each other: of one stream, at one resolution. */
export interface Group {
  /** `<resolution>@<hash of the labels>`: the same for every compactor, and a name for a directory. */
  readonly key: string;
  /** For people: `0@{cluster="a"}`. */
  readonly name: string;
  readonly resolutionMs: number;
  readonly labels: Readonly<Record<string, string>>;
  /** By min time, older blocks first among equals. */
  readonly blocks: readonly BlockMeta[];
  /** The blocks of the stream at coarser resolutions. */
  readonly coarser: readonly TimeSpan[];
  /** What a block made of some of these says in `thanos.extensions`; `undefined` for nothing. */
  readonly extensions: Readonly<Record<string, unknown>> | undefined;
}

/** All groups, in the order of their keys. */
export function groupBlocks(metas: Iterable<BlockMeta>): Group[] {
  const groups = [...Map.groupBy(metas, labelsKey).values()].map(groupOf);
  const streams = Map.groupBy(groups, streamOf);
  const withCoarser = groups.map((group): Group => {
    const others = streams.get(streamOf(group))!;
    const coarser = others.filter(({ resolutionMs }) => resolutionMs > group.resolutionMs);
    return { ...group, coarser: coarser.flatMap(({ blocks }) => blocks) };
  });
  return withCoarser.sort((a, b) => compareUtf8(a.key, b.key));
}

/** A resolution as Thanos's metrics have it: Go's text of a duration. */
export function resolutionLabel(resolutionMs: number): string {
  const seconds = resolutionMs / 1000;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}

export function byMinTime(a: BlockMeta, b: BlockMeta): number {
  return a.minTime - b.minTime || compareUtf8(a.ulid, b.ulid);
}

/** The same for all resolutions. */
export function streamOf({ key }: Pick<Group, 'key'>): string {
  return key.slice(key.indexOf('@'));
}

function groupOf(blocks: readonly BlockMeta[]): Omit<Group, 'coarser'> {
  const { labels = {}, downsample } = blocks[0]!.thanos ?? {};
  const resolutionMs = downsample?.resolution ?? 0;
  const sorted = blocks.toSorted(byMinTime);
  const text = Labels.fromObject(labels);
  const hash = createHash('sha256').update(text.key).digest('hex').slice(0, 16);
  return {
    key: `${resolutionMs}@${hash}`,
    name: `${resolutionMs}@${text.toString()}`,
    resolutionMs,
    labels,
    blocks: sorted,
    extensions: commonExtensions(sorted),
  };
}

/** Extensions of the first block that has some, as far as all blocks with some have them. */
function commonExtensions(
  blocks: readonly BlockMeta[],
): Readonly<Record<string, unknown>> | undefined {
  const all = blocks.map(({ thanos }) => thanos?.extensions).filter(isObject);
  const first = all[0];
  if (first === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(first).filter(([key]) => all.every((one) => Object.hasOwn(one, key))),
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
