import { MarkFilter } from '#/blocks/filters.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import type { HashFunction } from '#/blocks/upload-block.ts';
import { BadInputError } from '#/lib/errors.ts';
import { ulidEntropy } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { FETCH_CONCURRENCY, fetchBlocks } from '../bucket-tool.ts';
import type { BucketTool } from '../bucket-tool.ts';

/** Who made a block, in its meta. */
export const IMPORT_SOURCE = 'bucket.import';

/** A block on the local disk that is to get into the bucket. */
export interface ImportBlock {
  readonly meta: BlockMeta;
  /** What its ULID ends with whenever it is imported: all of it, or what follows the time. */
  readonly identity: string;
  /** Gives it its ULID: one that an import of it had before, or its own. */
  named(ulid: string | undefined): Promise<{
    readonly directory: string;
    readonly meta: BlockMeta;
  }>;
}

export interface PlaceOptions {
  readonly allowOverlap: boolean;
  readonly dryRun: boolean;
  readonly hashFunction: HashFunction;
  /** Segment files of a block that go up at once. */
  readonly concurrency: number;
}

/** What the bucket has of a block that is to be imported. */
type Place =
  | { readonly kind: 'present'; readonly as: string }
  | { readonly kind: 'absent'; readonly begunAs: string | undefined };

/**
 * Uploads the blocks that the bucket does not have, one by one in the order of time, each whole or
 * not at all, and writes a line for each. One that an earlier import uploaded is there already, also as
 * a part of a larger one; one that it only began to upload is gone on with.
 * @throws BadInputError before the first upload if a block would overlap another one with the same labels.
 */
export async function placeBlocks(
  blocks: readonly ImportBlock[],
  options: PlaceOptions,
  tool: BucketTool,
): Promise<void> {
  const { bucket, clock, disk, log, signal, write } = tool;
  const deletion = MarkFilter.deletion({
    bucket,
    concurrency: FETCH_CONCURRENCY,
    log,
    delayMs: 0,
    clock,
  });
  const { metas, partial } = await fetchBlocks(tool, [deletion], signal);
  const known = new Known(metas, [...partial.keys()]);
  const places = blocks.map((block) => ({ block, place: known.placeOf(block) }));
  const absent = places.filter(({ place }) => place.kind === 'absent').map(({ block }) => block);
  const overlaps = overlapsOf(absent, metas);
  if (!options.dryRun && !options.allowOverlap && overlaps.size > 0) throw refusal(overlaps);
  const progress = tool.progress('importing', blocks.length);
  for (const { block, place } of places) {
    const { hashFunction, concurrency } = options;
    let { meta } = block;
    let what: string;
    if (place.kind === 'present') {
      meta = { ...meta, ulid: place.as };
      what = 'is in the bucket already';
    } else {
      const local = await block.named(place.begunAs);
      ({ meta } = local);
      const overlap = overlaps.get(block);
      what = overlap === undefined ? 'would be uploaded' : `would overlap ${overlap}`;
      if (!options.dryRun) {
        const upload = { ...local, hashFunction, concurrency };
        await uploadBlock({ ...upload, disk, clock, bucket, signal });
        what = 'uploaded';
      }
    }
    write(`${describe(meta)}: ${what}\n`);
    progress.step(meta.ulid);
  }
  progress.end();
}

/** Finds blocks by what their ULIDs end with. */
class Known {
  readonly #present = new Map<string, string>();
  readonly #begun = new Map<string, string>();

  constructor(metas: readonly BlockMeta[], partial: readonly string[]) {
    for (const { ulid, compaction } of metas) {
      for (const source of [...compaction.sources, ulid]) {
        for (const end of endsOf(source)) this.#present.set(end, ulid);
      }
    }
    for (const id of partial) for (const end of endsOf(id)) this.#begun.set(end, id);
  }

  placeOf({ identity }: ImportBlock): Place {
    const as = this.#present.get(identity);
    if (as !== undefined) return { kind: 'present', as };
    return { kind: 'absent', begunAs: this.#begun.get(identity) };
  }
}

/** The two kinds of `ImportBlock.identity`. */
function endsOf(id: string): [string, string] {
  return [id, ulidEntropy(id)];
}

/** For every block that overlaps one of its stream, in the bucket or among the others, that one. */
function overlapsOf(
  blocks: readonly ImportBlock[],
  metas: readonly BlockMeta[],
): Map<ImportBlock, string> {
  const there = Map.groupBy(metas, streamOf);
  const found = new Map<ImportBlock, string>();
  for (const block of blocks) {
    const stream = streamOf(block.meta);
    const others = blocks.filter((other) => other !== block && streamOf(other.meta) === stream);
    const all = [...(there.get(stream) ?? []), ...others.map(({ meta }) => meta)];
    const overlapping = all.find(
      ({ minTime, maxTime }) => minTime < block.meta.maxTime && maxTime > block.meta.minTime,
    );
    if (overlapping !== undefined) found.set(block, overlapping.ulid);
  }
  return found;
}

function streamOf({ thanos }: BlockMeta): string {
  return Labels.fromObject(thanos?.labels ?? {}).key;
}

/** How many overlaps a refusal names. */
const NAMED = 5;

function refusal(overlaps: ReadonlyMap<ImportBlock, string>): BadInputError {
  const named = [...overlaps].slice(0, NAMED).map(([{ meta }, other]) => {
    return `${rangeText(meta)} overlaps ${other}`;
  });
  const more = overlaps.size > NAMED ? ` and ${overlaps.size - NAMED} more` : '';
  return new BadInputError(
    `nothing was uploaded: blocks with the same labels are there for the time of ${overlaps.size} blocks: ` +
      `${named.join('; ')}${more}; give another --label, or --allow-overlap if the samples are others`,
  );
}

function describe(meta: BlockMeta): string {
  const { numSamples, numSeries } = meta.stats;
  return `${meta.ulid} ${rangeText(meta)}, ${numSamples} samples, ${numSeries} series`;
}

function rangeText({ minTime, maxTime }: BlockMeta): string {
  return `[${new Date(minTime).toISOString()}, ${new Date(maxTime).toISOString()})`;
}
