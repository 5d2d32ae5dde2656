import type { ByteCache } from '#/cache/cache.ts';
import type { Clock } from '#/lib/clock.ts';
import { NotFoundError } from '#/lib/errors.ts';
import type {
  Bucket,
  ListEntry,
  ListOptions,
  ObjectAttributes,
  OperationOptions,
  ReadOptions,
  UploadOptions,
} from '#/objstore/bucket.ts';
import type { Metrics } from '#/telemetry/metrics.ts';
import { CachingMetrics } from './caching/metrics.ts';
import { Subranges } from './caching/subranges.ts';

/** What is kept and for how long; 0 ms for not at all. */
export interface CachingSettings {
  /** Chunk files are kept in aligned parts of this size. */
  readonly subrangeBytes: number;
  /** Requests for one read of a chunk file; 0 for no bound. */
  readonly maxRangeRequests: number;
  /** Larger `meta.json` files and marks are not kept. */
  readonly maxMetafileBytes: number;
  readonly chunkAttributesTtlMs: number;
  readonly subrangeTtlMs: number;
  /** Of the listing of everything. */
  readonly listingTtlMs: number;
  /** How long a metafile that was there is taken to be there. */
  readonly existsTtlMs: number;
  /** How long one that was not there is taken to be missing: a new block or mark shows that late. */
  readonly missingTtlMs: number;
  readonly contentTtlMs: number;
}

export interface CachingOptions {
  readonly bucket: Bucket;
  readonly cache: ByteCache;
  /** Tells buckets that share a cache apart: the same for all who look at one bucket. */
  readonly identity: string;
  readonly settings: CachingSettings;
  readonly clock: Pick<Clock, 'now'>;
  readonly metrics: Metrics;
}

const CHUNK_FILE = /^.*\/chunks\/\d+$/;
const METAFILE = /\/(meta|deletion-mark)\.json$/;
const DELETION_MARK = /\/deletion-mark\.json$/;

/** A longer listing is not kept. */
const MAX_LISTING_BYTES = 8 * 1024 * 1024;

/**
 * `bucket`, with what seldom or never changes in it kept in a cache: parts of chunk files, metafiles
 * (`meta.json`, `deletion-mark.json`) and the listing of everything. For readers: what is written
 * through it goes past the cache, and shows when the entries have grown old. Closes `bucket`.
 */
export function cachingBucket(options: CachingOptions): Bucket {
  return new CachingBucket(options);
}

class CachingBucket implements Bucket {
  readonly name: string;
  readonly #bucket: Bucket;
  readonly #cache: ByteCache;
  readonly #identity: string;
  readonly #settings: CachingSettings;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #metrics: CachingMetrics;
  readonly #subranges: Subranges;

  constructor({ bucket, cache, identity, settings, clock, metrics }: CachingOptions) {
    this.name = bucket.name;
    this.#bucket = bucket;
    this.#cache = cache;
    this.#identity = identity;
    this.#settings = settings;
    this.#clock = clock;
    this.#metrics = new CachingMetrics(metrics);
    this.#subranges = new Subranges({
      bucket,
      cache,
      keyPrefix: `subrange:${identity}`,
      subrangeBytes: settings.subrangeBytes,
      maxRequests: settings.maxRangeRequests,
      ttlMs: settings.subrangeTtlMs,
      metrics: this.#metrics,
    });
  }

  read(name: string, options: ReadOptions = {}): Promise<Uint8Array> {
    const { offset = 0, length } = options;
    if (CHUNK_FILE.test(name) && length !== undefined && length > 0 && offset >= 0) {
      return this.#subranges.read(name, { offset, length }, options);
    }
    if (METAFILE.test(name) && offset === 0 && length === undefined) {
      return this.#readMetafile(name, options);
    }
    return this.#bucket.read(name, options);
  }

  readStream(name: string, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#bucket.readStream(name, options);
  }

  async attributes(
    name: string,
    options: OperationOptions = {},
  ): Promise<ObjectAttributes | undefined> {
    const isMetafile = METAFILE.test(name);
    if (!isMetafile && !CHUNK_FILE.test(name)) return this.#bucket.attributes(name, options);
    const operation = isMetafile ? 'exists' : 'attributes';
    const { existsTtlMs, missingTtlMs, chunkAttributesTtlMs } = this.#settings;
    this.#metrics.requested(operation);
    const key = this.#key('attrs', name);
    const known = parseAttributes(await this.#get(key, options.signal));
    if (known !== undefined) {
      this.#metrics.hit(operation);
      return known ?? undefined;
    }
    const asked = this.#clock.now();
    const found = await this.#bucket.attributes(name, options);
    if (isMetafile) this.#keep(key, found ?? null, asked, found ? existsTtlMs : missingTtlMs);
    else if (found !== undefined) this.#keep(key, found, asked, chunkAttributesTtlMs);
    return found;
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ListEntry> {
    if (prefix !== '') {
      yield* this.#bucket.list(prefix, options);
      return;
    }
    this.#metrics.requested('iter');
    const key = this.#key(options.recursive === true ? 'iter-recursive' : 'iter', '');
    const known = parseListing(await this.#get(key, options.signal));
    if (known !== undefined) {
      this.#metrics.hit('iter');
      yield* known;
      return;
    }
    const asked = this.#clock.now();
    const entries: ListEntry[] = [];
    let bytes = 0;
    for await (const entry of this.#bucket.list(prefix, options)) {
      bytes += entry.name.length + 64;
      if (bytes <= MAX_LISTING_BYTES) entries.push(entry);
      yield entry;
    }
    if (bytes <= MAX_LISTING_BYTES) this.#keep(key, entries, asked, this.#settings.listingTtlMs);
  }

  upload(
    name: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options?: UploadOptions,
  ): Promise<void> {
    return this.#bucket.upload(name, content, options);
  }

  remove(name: string, options?: OperationOptions): Promise<void> {
    return this.#bucket.remove(name, options);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#bucket[Symbol.asyncDispose]();
  }

  async #readMetafile(name: string, options: ReadOptions): Promise<Uint8Array> {
    const { missingTtlMs, contentTtlMs, maxMetafileBytes } = this.#settings;
    this.#metrics.requested('get');
    const contentKey = this.#key('content', name);
    const attributesKey = this.#key('attrs', name);
    if (options.fresh !== true) {
      const keys = [contentKey, attributesKey];
      const [content, attributes] = await this.#cache.getMany(keys, options.signal);
      const isMissing = parseAttributes(attributes) === null;
      if (isMissing || content !== undefined) this.#metrics.hit('get');
      if (isMissing) throw new NotFoundError(`${this.name}/${name} does not exist`);
      if (content !== undefined) return content;
      options.signal?.throwIfAborted();
    }
    const asked = this.#clock.now();
    try {
      const content = await this.#bucket.read(name, options);
      // Who takes a mark back should not wait for a day until its block is served again.
      const ttlMs = DELETION_MARK.test(name) ? Math.min(contentTtlMs, missingTtlMs) : contentTtlMs;
      if (content.length <= maxMetafileBytes) {
        this.#cache.set(contentKey, content, this.#left(asked, ttlMs));
      }
      return content;
    } catch (thrown) {
      if (thrown instanceof NotFoundError) this.#keep(attributesKey, null, asked, missingTtlMs);
      throw thrown;
    }
  }

  async #get(key: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    const [value] = await this.#cache.getMany([key], signal);
    signal?.throwIfAborted();
    return value;
  }

  /** What the bucket said is as old as the question. */
  #keep(key: string, value: unknown, askedMs: number, ttlMs: number): void {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    this.#cache.set(key, bytes, this.#left(askedMs, ttlMs));
  }

  #left(askedMs: number, ttlMs: number): number {
    return Math.max(0, ttlMs - (this.#clock.now() - askedMs));
  }

  #key(kind: string, name: string): string {
    return `${kind}:${this.#identity}:${name}`;
  }
}

/** `null` for an object that is known to be missing, `undefined` when nothing is known. */
function parseAttributes(bytes: Uint8Array | undefined): ObjectAttributes | null | undefined {
  return parse(bytes) as ObjectAttributes | null | undefined;
}

function parseListing(bytes: Uint8Array | undefined): ListEntry[] | undefined {
  return parse(bytes) as ListEntry[] | undefined;
}

/** The cache gives what was put in or nothing, so the form is our own. */
function parse(bytes: Uint8Array | undefined): unknown {
  return bytes === undefined ? undefined : JSON.parse(new TextDecoder().decode(bytes));
}
