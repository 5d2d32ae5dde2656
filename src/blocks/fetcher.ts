import { join } from 'node:path';
import type { Clock } from '#/lib/clock.ts';
import { concurrently } from '#/lib/concurrently.ts';
import { isMissing } from '#/lib/disk.ts';
import type { Disk } from '#/lib/disk.ts';
import {
  CorruptionError,
  NotFoundError,
  UnavailableError,
  isAbort,
  messageOf,
} from '#/lib/errors.ts';
import { Gate } from '#/lib/gate.ts';
import { isUlid, looksLikeUlid, ulidTimeMs } from '#/lib/ulid.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { withReason } from '#/objstore/with-reason.ts';
import type { Log } from '#/telemetry/logger.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { META_FILENAME, parseBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { blockIdOf, metaName, readLocalMeta, writeLocalMeta } from './block-files.ts';
import type { BucketIndex, IndexedBlock } from './bucket-index.ts';
import type { BucketIndexReader } from './bucket-index-reader.ts';
import { FetchMetrics, SyncCounts } from './fetch-metrics.ts';
import type { BlockFilter, KnownMarks } from './filters.ts';
import { markKindOf, markName } from './markers.ts';

export interface FetcherOptions {
  readonly bucket: Bucket;
  /**
   * `concurrent`: one listing of the root, then a look for each block's `meta.json`.
   * `recursive`: one listing of everything, which also shows when a `meta.json` has changed.
   * A reader of the bucket index: one listing of the root, and a look only at blocks that the index
   * does not have; as `concurrent` while there is no index to rely on.
   */
  readonly listing: 'concurrent' | 'recursive' | BucketIndexReader;
  /** How many metas are loaded at once. */
  readonly concurrency: number;
  /** Metas are kept in `meta-syncer/` below it; without one only in memory. */
  readonly cacheDirectory?: string;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What a bucket holds, as far as it could be seen. */
export interface BlockView {
  /** Whole blocks that passed the filters, by ULID. The map is the caller's own. */
  readonly metas: Map<string, BlockMeta>;
  /** Blocks without a readable `meta.json`: uploads or deletions under way, and why. */
  readonly partial: ReadonlyMap<string, Error>;
  /** What could not be loaded. While there is any, blocks may be missing from `metas`. */
  readonly failures: readonly MetaFailure[];
  /** Absent where nothing is known of marks. */
  readonly marks?: KnownMarks;
}

/** Why a block's `meta.json` could not be loaded. */
export class MetaFailure extends Error {
  override readonly name = 'MetaFailure';
  readonly id: string;

  constructor(id: string, cause: unknown) {
    super(messageOf(cause), { cause });
    this.id = id;
  }

  /** Whether trying again gives the same, as for a later version. */
  get isLasting(): boolean {
    return this.cause instanceof UnknownVersionError;
  }
}

class UnknownVersionError extends Error {
  override readonly name = 'UnknownVersionError';
}

/** @throws UnavailableError if blocks may be missing from the view. */
export function checkComplete({ failures }: BlockView): void {
  const first = failures[0];
  if (first === undefined) return;
  throw new UnavailableError(
    `${failures.length} blocks of the bucket cannot be read, the first: ${first.message}`,
    { cause: first },
  );
}

interface Listed {
  readonly id: string;
  /** When its `meta.json` was written; absent when the listing does not say. */
  readonly modifiedMs: number | undefined;
}

interface Cached {
  readonly meta: BlockMeta;
  readonly modifiedMs: number | undefined;
}

/** How a block that a listing shows becomes a part of the view. */
interface Takers {
  readonly take: (listed: Listed, signal: AbortSignal) => Promise<void>;
  readonly takeIndexed: (block: IndexedBlock) => void;
}

const LOOKUPS = 64;

/** An upload that was not whole after this time will hardly ever be; the next index would tell. */
const UPLOAD_MS = 48 * 3_600_000;

/**
 * Finds the blocks of a bucket and loads their metas, once each. Several views with filters of their
 * own may share one fetcher: fetches that overlap share one listing.
 */
export class BlockFetcher {
  readonly #options: FetcherOptions;
  readonly #loads: Gate;
  readonly #cacheDirectory: string | undefined;
  #cached: ReadonlyMap<string, Cached> = new Map();
  #running: Promise<BlockView> | undefined;

  constructor(options: FetcherOptions) {
    this.#options = { ...options, bucket: withReason(options.bucket, 'sync') };
    this.#loads = new Gate(options.concurrency);
    this.#cacheDirectory =
      options.cacheDirectory === undefined
        ? undefined
        : join(options.cacheDirectory, 'meta-syncer');
  }

  /** A view on the bucket through `filters`, which are applied in their order. */
  view(filters: readonly BlockFilter[]): BlockViewer {
    const { clock, log, metrics } = this.#options;
    return new BlockViewer((signal) => this.fetch(signal), filters, { clock, log, metrics });
  }

  /** All blocks, without a filter. The first caller's signal counts for all who share its fetch. */
  async fetch(signal: AbortSignal): Promise<BlockView> {
    this.#running ??= this.#load(signal).finally(() => {
      this.#running = undefined;
    });
    const { metas, ...rest } = await this.#running;
    signal.throwIfAborted();
    return { ...rest, metas: new Map(metas) };
  }

  async #load(signal: AbortSignal): Promise<BlockView> {
    this.#counter(
      'base_syncs_total',
      'Total blocks metadata synchronization attempts by base Fetcher',
    ).inc();
    const found = new Map<string, Cached>();
    const partial = new Map<string, Error>();
    const failures: MetaFailure[] = [];
    const taken = new Set<string>();
    const take = async ({ id, modifiedMs }: Listed, inner: AbortSignal) => {
      taken.add(id);
      try {
        const meta = await this.#loads.run(inner, () => this.#meta(id, modifiedMs, inner));
        found.set(id, { meta, modifiedMs });
      } catch (thrown) {
        inner.throwIfAborted();
        if (thrown instanceof NotFoundError || thrown instanceof CorruptionError) {
          partial.set(id, thrown);
        } else failures.push(new MetaFailure(id, thrown));
      }
    };
    const { listing } = this.#options;
    let marks: KnownMarks | undefined;
    let index: BucketIndex | undefined;
    // A name from a listing would be held besides the same text in the meta.
    const takeIndexed = ({ meta }: IndexedBlock) => {
      taken.add(meta.ulid);
      found.set(meta.ulid, { meta, modifiedMs: undefined });
    };
    if (listing === 'recursive') marks = await this.#listAll(partial, take, signal);
    else {
      // Before the listing: what it says is then older than what is seen.
      index = listing === 'concurrent' ? undefined : await listing.load(signal);
      marks = index && marksIn(index);
      await this.#listRoot(partial, index, { take, takeIndexed }, signal);
    }
    const unlisted = new Set([...this.#cached.keys(), ...(index?.blocks.keys() ?? [])]);
    await concurrently(LOOKUPS, unlisted.difference(taken), signal, async (id, inner) => {
      try {
        if (!(await this.#isStillThere(id, inner))) return;
        partial.delete(id);
        const indexed = index?.blocks.get(id);
        if (indexed !== undefined) takeIndexed(indexed);
        else await take({ id, modifiedMs: this.#cached.get(id)?.modifiedMs }, inner);
      } catch (thrown) {
        inner.throwIfAborted();
        failures.push(new MetaFailure(id, thrown));
      }
    });

    const metas = new Map(Array.from(found, ([id, { meta }]) => [id, meta]));
    // What is cached stays as it is until the whole bucket could be seen.
    if (failures.every(({ isLasting }) => isLasting)) {
      this.#cached = found;
      await this.#dropCached((id) => !found.has(id));
    }
    return { metas, partial, failures, ...(marks === undefined ? {} : { marks }) };
  }

  /** Listings have no checksum and may lag behind: a block that misses in one need not be gone. */
  async #isStillThere(id: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#options.bucket.attributes(metaName(id), { signal })) !== undefined;
  }

  async #listRoot(
    partial: Map<string, Error>,
    index: BucketIndex | undefined,
    { take, takeIndexed }: Takers,
    signal: AbortSignal,
  ): Promise<void> {
    const { bucket } = this.#options;
    const root = bucket.list('', { signal });
    await concurrently(LOOKUPS, root, signal, async ({ name }, inner) => {
      const id = blockIdOf(name);
      if (id === undefined) return;
      const indexed = index?.blocks.get(id);
      if (indexed !== undefined) {
        takeIndexed(indexed);
        return;
      }
      if (index !== undefined && isLeftBehind(id, index)) {
        partial.set(id, withoutMeta(id));
        return;
      }
      // A meta that is not cached is read, which tells as well whether it is there.
      const isThere = !(await this.#isCached(id)) || (await this.#isStillThere(id, inner));
      if (!isThere) partial.set(id, withoutMeta(id));
      // Looking would tell when it was written, but upstream's caches do not go by it.
      else await take({ id, modifiedMs: undefined }, inner);
    });
  }

  /** Gives what the names of the marks tell. */
  async #listAll(
    partial: Map<string, Error>,
    take: (listed: Listed, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<KnownMarks> {
    const listing = this.#options.bucket.list('', { recursive: true, signal });
    const seen = new Set<string>();
    const marks = new Set<string>();
    const whole = new Set<string>();
    await concurrently(this.#options.concurrency, listing, signal, async (entry, inner) => {
      const id = blockIdOf(entry.name);
      if (id === undefined) return;
      seen.add(id);
      if (markKindOf(entry.name) !== undefined) marks.add(entry.name);
      if (!entry.name.endsWith(`/${META_FILENAME}`)) return;
      whole.add(id);
      await take({ id, modifiedMs: entry.modifiedMs }, inner);
    });
    for (const id of seen) if (!whole.has(id)) partial.set(id, withoutMeta(id));
    return { of: (id, kind) => (marks.has(markName(id, kind)) ? 'unread' : 'none') };
  }

  async #isCached(id: string): Promise<boolean> {
    if (this.#cached.has(id)) return true;
    if (this.#cacheDirectory === undefined) return false;
    try {
      return (await this.#options.disk.stat(join(this.#cacheDirectory, id))) !== undefined;
    } catch {
      // What cannot be read from there is read from the bucket.
      return false;
    }
  }

  async #meta(id: string, modifiedMs: number | undefined, signal: AbortSignal): Promise<BlockMeta> {
    const cached = this.#cached.get(id);
    const changed = cached?.modifiedMs !== undefined && cached.modifiedMs !== modifiedMs;
    if (changed) {
      this.#counter(
        'base_cache_busts_total',
        'Total blocks metadata cache busts by base Fetcher',
      ).inc();
      await this.#dropCached((name) => name === id);
    } else if (cached !== undefined) return cached.meta;
    return (await this.#metaOnDisk(id)) ?? this.#metaInBucket(id, changed, signal);
  }

  async #metaOnDisk(id: string): Promise<BlockMeta | undefined> {
    if (this.#cacheDirectory === undefined) return undefined;
    const directory = join(this.#cacheDirectory, id);
    try {
      return await readLocalMeta(this.#options.disk, directory);
    } catch (thrown) {
      if (isMissing(thrown)) return undefined;
      this.#options.log.warn('cached meta.json is unreadable; it is loaded again', {
        directory,
        err: messageOf(thrown),
      });
      await this.#bestEffort('remove', directory, () => this.#options.disk.remove(directory));
      return undefined;
    }
  }

  async #metaInBucket(id: string, fresh: boolean, signal: AbortSignal): Promise<BlockMeta> {
    const { bucket, disk } = this.#options;
    const bytes = await bucket.read(metaName(id), { fresh, signal });
    const meta = parseRemoteMeta(new TextDecoder().decode(bytes), `${bucket.name}/${metaName(id)}`);
    if (this.#cacheDirectory !== undefined) {
      const directory = join(this.#cacheDirectory, id);
      await this.#bestEffort('write', directory, () => writeLocalMeta(disk, directory, meta));
    }
    return meta;
  }

  async #dropCached(isUnwanted: (id: string) => boolean): Promise<void> {
    const root = this.#cacheDirectory;
    if (root === undefined) return;
    const { disk } = this.#options;
    await this.#bestEffort('clean', root, async () => {
      if ((await disk.stat(root)) === undefined) return;
      for (const { name } of await disk.list(root)) {
        if (looksLikeUlid(name) && isUnwanted(name)) await disk.remove(join(root, name));
      }
    });
  }

  /** The cache on disk only saves requests: a fault of it costs time, not blocks. */
  async #bestEffort(what: string, path: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#options.log.warn(`cannot ${what} the cache of block metas`, {
        path,
        err: messageOf(thrown),
      });
    }
  }

  #counter(name: string, help: string) {
    return this.#options.metrics.counter({ name: `thanos_blocks_meta_${name}`, help });
  }
}

type ViewerEffects = Pick<FetcherOptions, 'clock' | 'log' | 'metrics'>;

/** The blocks of a bucket through the eyes of one component. */
export class BlockViewer {
  readonly #load: (signal: AbortSignal) => Promise<BlockView>;
  readonly #filters: readonly BlockFilter[];
  readonly #effects: ViewerEffects;
  readonly #metrics: FetchMetrics;

  constructor(
    load: (signal: AbortSignal) => Promise<BlockView>,
    filters: readonly BlockFilter[],
    effects: ViewerEffects,
  ) {
    this.#load = load;
    this.#filters = filters;
    this.#effects = effects;
    this.#metrics = new FetchMetrics(effects.metrics);
  }

  /**
   * The filtered blocks. A block that cannot be loaded is a failure in the view; without a listing,
   * or when a filter fails, there is no view.
   * @throws UnavailableError
   */
  async fetch(signal: AbortSignal): Promise<BlockView> {
    const { clock, log } = this.#effects;
    const start = clock.now();
    const counts = new SyncCounts();
    this.#metrics.syncs.inc();
    let failed = true;
    try {
      const view = await this.#load(signal);
      for (const [block, error] of view.partial) {
        const isDamaged = error instanceof CorruptionError;
        counts.add(isDamaged ? 'corrupted-meta-json' : 'no-meta-json');
        // A block without one may be on its way; a damaged one needs somebody's hand.
        if (isDamaged)
          log.warn('block is left out: its meta.json is damaged', { block, err: error });
        else log.info('block is left out: it has no meta.json', { block });
      }
      counts.add('failed', view.failures.length);
      for (const filter of this.#filters) {
        await filter.apply(view.metas, counts, signal, view.marks);
      }
      counts.add('loaded', view.metas.size);
      failed = view.failures.length > 0;
      log.debug('block metadata synchronized', {
        returned: view.metas.size,
        partial: view.partial.size,
        failed: view.failures.length,
        duration_ms: clock.now() - start,
      });
      return view;
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof UnavailableError || isAbort(thrown)) throw thrown;
      throw new UnavailableError(`block metadata cannot be synchronized: ${messageOf(thrown)}`, {
        cause: thrown,
      });
    } finally {
      if (failed) this.#metrics.failures.inc();
      this.#metrics.durationSeconds.observe((clock.now() - start) / 1000);
      this.#metrics.show(counts);
    }
  }
}

/** @throws CorruptionError if the file is damaged; another error if only its version is unknown. */
function parseRemoteMeta(text: string, where: string): BlockMeta {
  try {
    return parseBlockMeta(text, where);
  } catch (thrown) {
    const version = versionOf(text);
    if (version === undefined || version === 1) throw thrown;
    throw new UnknownVersionError(
      `${where}: version is ${version}; this program reads version 1 only`,
      { cause: thrown },
    );
  }
}

function versionOf(text: string): number | undefined {
  try {
    const root = JSON.parse(text) as unknown;
    if (typeof root !== 'object' || root === null) return undefined;
    const version = 'version' in root ? root.version : 0;
    return typeof version === 'number' ? version : undefined;
  } catch {
    return undefined;
  }
}

function marksIn({ blocks }: BucketIndex): KnownMarks {
  return {
    of(id, kind) {
      const block = blocks.get(id);
      return block === undefined ? 'unread' : (block.marks[kind] ?? 'none');
    },
  };
}

/** Whether the index had a block as partial that was not new then. */
function isLeftBehind(id: string, { partial, listedMs }: BucketIndex): boolean {
  return partial.has(id) && isUlid(id) && listedMs - ulidTimeMs(id) > UPLOAD_MS;
}

function withoutMeta(id: string): Error {
  return new NotFoundError(`block ${id} has no ${META_FILENAME}`);
}
