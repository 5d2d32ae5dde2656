import { concurrently } from '#/lib/concurrently.ts';
import { UnavailableError } from '#/lib/errors.ts';
import type { Disk } from '#/lib/disk.ts';
import { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { BucketBlock } from './bucket/bucket-block.ts';
import type { BlockSource } from './bucket/block-source.ts';
import { HeaderCache } from './bucket/header-cache.ts';
import type { HeaderWanted } from './bucket/header-cache.ts';
import { RESOLUTIONS_MS } from './bucket/block-selection.ts';
import type { BlockGroup, BlockGroups } from './bucket-store.ts';
import type { IndexCache } from './index-cache.ts';

/** What a look into the bucket found. */
export interface FoundBlocks {
  /** The blocks that passed all filters. */
  readonly metas: readonly BlockMeta[];
  /** Why some could not be read: a missing block may still be there. */
  readonly failures: readonly Error[];
}

export interface BucketBlocksOptions {
  readonly find: (signal: AbortSignal) => Promise<FoundBlocks>;
  readonly bucket: Bucket;
  readonly disk: Disk;
  readonly directory: string;
  readonly indexCache: IndexCache;
  readonly headerCacheBytes: number;
  /** Opens every block's header at once after a sync, instead of on first use. */
  readonly eagerHeaders: boolean;
  readonly concurrency: number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The bucket's blocks as a store gateway serves them; `sync` follows what comes and goes. */
export class BucketBlocks implements BlockGroups {
  readonly #options: BucketBlocksOptions;
  readonly #headers: HeaderCache;
  readonly #blocks = new Map<string, BucketBlock>();
  /** By key: blocks with the same external labels share them. */
  #labels = new Map<string, Labels>();
  readonly #metrics;
  #groups: readonly BlockGroup[] = [];
  #cleaned = false;

  constructor(options: BucketBlocksOptions) {
    this.#options = options;
    this.#headers = new HeaderCache({ ...options, maxBytes: options.headerCacheBytes });
    const { metrics } = options;
    this.#metrics = {
      loaded: metrics.gauge({
        name: 'thanos_bucket_store_blocks_loaded',
        help: 'Blocks that are served.',
      }),
      loads: metrics.counter({
        name: 'thanos_bucket_store_block_loads_total',
        help: 'Blocks that were taken in.',
      }),
      loadFailures: metrics.counter({
        name: 'thanos_bucket_store_block_load_failures_total',
        help: 'Blocks that could not be taken in.',
      }),
      drops: metrics.counter({
        name: 'thanos_bucket_store_block_drops_total',
        help: 'Blocks that were let go.',
      }),
    };
  }

  groups(): readonly BlockGroup[] {
    return this.#groups;
  }

  /**
   * Looks at the bucket and serves what is there. An incomplete look adds blocks and drops none. A
   * block that cannot be opened is left out and tried again at the next sync.
   * @throws UnavailableError if the bucket cannot be listed or the look was incomplete.
   */
  async sync(signal: AbortSignal): Promise<void> {
    const { metas, failures } = await this.#options.find(signal);
    this.#headers.retryDamaged();
    const found = new Set(metas.map(({ ulid }) => ulid));
    const fresh = metas.filter(({ ulid }) => !this.#blocks.has(ulid));
    const { concurrency } = this.#options;
    await concurrently(concurrency, fresh, signal, (meta, inner) => this.#add(meta, inner));
    if (failures.length === 0) {
      const gone = [...this.#blocks.keys()].filter((ulid) => !found.has(ulid));
      for (const ulid of gone) this.#blocks.delete(ulid);
      this.#metrics.drops.inc(gone.length);
      await Promise.all(gone.map((ulid) => this.#headers.remove(ulid)));
      await this.#cleanOnce(found);
    }
    this.#groups = grouped(this.#blocks.values());
    this.#labels = new Map(this.#groups.map(({ labels }) => [labels.key, labels]));
    this.#metrics.loaded.set(this.#blocks.size);
    const [first] = failures;
    if (first === undefined) return;
    throw new UnavailableError(
      `the metas of ${failures.length} blocks cannot be read, besides ${metas.length} that can: ${first.message}`,
      { cause: first },
    );
  }

  async #add(meta: BlockMeta, signal: AbortSignal): Promise<void> {
    const { eagerHeaders, log } = this.#options;
    try {
      const block = new BucketBlock(meta, this.#labelsOf(meta), this.#source);
      if (!RESOLUTIONS_MS.includes(block.resolutionMs)) {
        throw new Error(
          `resolution of ${block.resolutionMs} ms; want one of ${RESOLUTIONS_MS.join(', ')}`,
        );
      }
      if (eagerHeaders) await this.#headers.get(meta, { signal });
      this.#blocks.set(meta.ulid, block);
      this.#metrics.loads.inc();
    } catch (thrown) {
      signal.throwIfAborted();
      this.#metrics.loadFailures.inc();
      log.warn('block cannot be opened; it is tried again at the next sync', {
        block: meta.ulid,
        err: thrown,
      });
    }
  }

  /** Where a block's bytes come from, once somebody asks for them. */
  readonly #source = (meta: BlockMeta, labels: Labels): BlockSource => {
    const { bucket, indexCache } = this.#options;
    const header = (wanted: HeaderWanted) => this.#headers.get(meta, wanted);
    return { meta, labels, bucket, indexCache, header };
  };

  #labelsOf({ thanos }: BlockMeta): Labels {
    const labels = Labels.fromObject(thanos?.labels ?? {});
    return this.#labels.getOrInsert(labels.key, labels);
  }

  /** Headers of blocks that went while nobody looked are found once, after the first whole sync. */
  async #cleanOnce(known: ReadonlySet<string>): Promise<void> {
    if (this.#cleaned) return;
    await this.#headers.clean(known);
    this.#cleaned = true;
  }
}

function grouped(blocks: Iterable<BucketBlock>): BlockGroup[] {
  const byLabels = Map.groupBy(blocks, ({ labels }) => labels.key);
  return Array.from(byLabels.values(), (group) => ({
    labels: group[0]!.labels,
    blocks: group.sort((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime),
  }));
}
