import { UnavailableError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { parseBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { blockIdOf, metaName } from '../block-files.ts';

/** Compares with the blocks of the bucket that have our labels; reads the bucket once a pass. */
export class OverlapCheck {
  readonly #bucket: Bucket;
  readonly #labels: () => Labels;
  #existing: readonly BlockMeta[] | undefined;

  constructor(bucket: Bucket, labels: () => Labels) {
    this.#bucket = bucket;
    this.#labels = labels;
  }

  /** As in Thanos any overlap counts, also one among the blocks that are there already. */
  async check(meta: BlockMeta, signal: AbortSignal): Promise<void> {
    this.#existing ??= await this.#load(signal);
    const all = [meta, ...this.#existing].sort((a, b) => a.minTime - b.minTime);
    let reaching = all[0]!;
    for (const next of all.slice(1)) {
      if (next.minTime < reaching.maxTime) {
        throw new UnavailableError(
          `compacted block ${meta.ulid} is not uploaded: in the bucket's blocks with the same labels ` +
            `${describe(reaching)} and ${describe(next)} overlap; delete one of them`,
        );
      }
      if (next.maxTime > reaching.maxTime) reaching = next;
    }
  }

  async #load(signal: AbortSignal): Promise<BlockMeta[]> {
    const labels = this.#labels();
    const found: BlockMeta[] = [];
    for await (const { name } of this.#bucket.list('', { signal })) {
      const id = blockIdOf(name);
      if (id === undefined) continue;
      const text = new TextDecoder().decode(await this.#bucket.read(metaName(id), { signal }));
      const meta = parseBlockMeta(text, `${this.#bucket.name}/${metaName(id)}`);
      if (Labels.fromObject(meta.thanos?.labels ?? {}).equals(labels)) found.push(meta);
    }
    return found;
  }
}

function describe({ ulid, minTime, maxTime }: BlockMeta): string {
  return `${ulid} [${new Date(minTime).toISOString()}, ${new Date(maxTime).toISOString()})`;
}
