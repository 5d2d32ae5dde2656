import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Disk } from '#/lib/disk.ts';
import { CorruptionError, NotFoundError } from '#/lib/errors.ts';
import { untilAborted } from '#/lib/until-aborted.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import type { RequestTally } from '#/objstore/request-tally.ts';
import type { RangeReader } from '#/storage/range-reader.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { INDEX_FILENAME } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { twiceIfDamaged } from './losses.ts';
import { INDEX_HEADER_FILENAME, IndexHeader, buildIndexHeader } from '#/tsdb/index-header.ts';

export interface HeaderCacheOptions {
  readonly bucket: Bucket;
  readonly disk: Disk;
  /** Where headers are kept between starts, one directory a block. */
  readonly directory: string;
  /** Bound of the opened headers, in bytes; at least one is kept. */
  readonly maxBytes: number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Who wants a header. */
export interface HeaderWanted {
  readonly signal: AbortSignal;
  /** Counts the requests that building it takes. */
  readonly tally?: RequestTally;
}

/**
 * The index-headers of the bucket's blocks: built from the bucket when first needed, kept on the disk,
 * opened into memory while they are used, and the ones used longest ago let go. An index that is
 * damaged is not read again for every request, but after `retryDamaged`.
 */
export class HeaderCache {
  readonly #options: HeaderCacheOptions;
  readonly #opened: LRUCache<string, IndexHeader>;
  /** Headers being opened; everybody who wants one waits for the same work. */
  readonly #opening = new Map<string, Promise<IndexHeader>>();
  /** Why indexes have no header: they are damaged, and reading them again would give the same. */
  readonly #damaged = new Map<string, Error>();
  readonly #failures;

  constructor(options: HeaderCacheOptions) {
    this.#options = options;
    this.#opened = new LRUCache({
      maxSize: options.maxBytes,
      sizeCalculation: ({ sizeBytes }) => Math.min(sizeBytes, options.maxBytes),
    });
    this.#failures = options.metrics.counter({
      name: 'thanos_bucket_store_indexheader_lazy_load_failed_total',
      help: 'Index-headers that could not be opened or built.',
    });
  }

  get sizeBytes(): number {
    return this.#opened.calculatedSize;
  }

  /** One caller's abort does not take the header away from the others. Building is counted for the first. */
  get(meta: BlockMeta, { signal, tally }: HeaderWanted): Promise<IndexHeader> {
    const opened = this.#opened.get(meta.ulid);
    if (opened !== undefined) return Promise.resolve(opened);
    const damage = this.#damaged.get(meta.ulid);
    if (damage !== undefined) return Promise.reject(damage);
    let opening = this.#opening.get(meta.ulid);
    if (opening === undefined) {
      opening = this.#open(meta, tally).finally(() => this.#opening.delete(meta.ulid));
      this.#opening.set(meta.ulid, opening);
    }
    return untilAborted(opening, signal);
  }

  /** Lets damaged indexes be read again: somebody may have mended them. */
  retryDamaged(): void {
    this.#damaged.clear();
  }

  /** Forgets a block that is gone. */
  async remove(ulid: string): Promise<void> {
    this.#opened.delete(ulid);
    this.#damaged.delete(ulid);
    await this.#options.disk.remove(join(this.#options.directory, ulid));
  }

  /** Removes what lies in the directory for blocks that are not among `known`. */
  async clean(known: ReadonlySet<string>): Promise<void> {
    const { disk, directory } = this.#options;
    if ((await disk.stat(directory)) === undefined) return;
    for (const { name, kind } of await disk.list(directory)) {
      if (kind === 'directory' && name.length === 26 && !known.has(name)) await this.remove(name);
    }
  }

  async #open(meta: BlockMeta, tally: RequestTally | undefined): Promise<IndexHeader> {
    try {
      const header = (await this.#fromDisk(meta)) ?? (await this.#build(meta, tally));
      this.#opened.set(meta.ulid, header);
      return header;
    } catch (thrown) {
      this.#failures.inc();
      if (!(thrown instanceof CorruptionError || thrown instanceof NotFoundError)) throw thrown;
      const damage = new CorruptionError(`block ${meta.ulid}: ${thrown.message}`, {
        cause: thrown,
      });
      this.#damaged.set(meta.ulid, damage);
      this.#options.log.warn('block has no usable index; it is tried again at the next sync', {
        block: meta.ulid,
        err: thrown,
      });
      throw damage;
    }
  }

  /** A damaged file is as good as none. */
  async #fromDisk(meta: BlockMeta): Promise<IndexHeader | undefined> {
    const { disk, log } = this.#options;
    const path = this.#path(meta);
    if ((await disk.stat(path)) === undefined) return undefined;
    try {
      return IndexHeader.open(await disk.read(path));
    } catch (thrown) {
      if (!(thrown instanceof CorruptionError)) throw thrown;
      log.warn('index-header is damaged; building it anew', { block: meta.ulid, err: thrown });
      return undefined;
    }
  }

  async #build(meta: BlockMeta, tally: RequestTally | undefined): Promise<IndexHeader> {
    const { bucket, disk } = this.#options;
    const bytes = await twiceIfDamaged(async () =>
      buildIndexHeader(await indexReader(bucket, meta, tally)),
    );
    const path = this.#path(meta);
    await disk.write(`${path}.tmp`, bytes);
    await disk.rename(`${path}.tmp`, path);
    return IndexHeader.open(bytes);
  }

  #path({ ulid }: BlockMeta): string {
    return join(this.#options.directory, ulid, INDEX_HEADER_FILENAME);
  }
}

/** The block's index in the bucket. */
async function indexReader(
  bucket: Bucket,
  meta: BlockMeta,
  tally: RequestTally | undefined,
): Promise<RangeReader> {
  const purpose = { reason: 'header', tally } as const;
  const name = `${meta.ulid}/${INDEX_FILENAME}`;
  const attributes = await bucket.attributes(name, purpose);
  if (attributes === undefined) throw new NotFoundError(`${bucket.name}: ${name} is missing`);
  return {
    sizeBytes: attributes.sizeBytes,
    read: (offset, length, signal) => {
      return bucket.read(name, { offset, length, signal, ...purpose });
    },
  };
}
