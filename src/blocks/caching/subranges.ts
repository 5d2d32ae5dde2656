import type { ByteCache } from '#/cache/cache.ts';
import { SharedWork } from '#/lib/shared-work.ts';
import type { Bucket, ReadOptions } from '#/objstore/bucket.ts';
import type { CachingMetrics } from './metrics.ts';

export interface SubrangesOptions {
  readonly bucket: Bucket;
  readonly cache: ByteCache;
  /** What keys begin with; ends with the bucket's identity. */
  readonly keyPrefix: string;
  readonly subrangeBytes: number;
  /** Requests for one read; 0 for no bound. */
  readonly maxRequests: number;
  readonly ttlMs: number;
  readonly metrics: CachingMetrics;
}

/** Subranges `[from, to)` by number. */
interface Run {
  readonly from: number;
  readonly to: number;
}

export interface Range {
  readonly offset: number;
  readonly length: number;
}

/**
 * Reads of immutable objects through a cache that keeps them in subranges of one size, aligned to
 * it. What is missing is read in joined requests, a few at most, and by several readers at once only
 * once.
 */
export class Subranges {
  readonly #options: SubrangesOptions;
  /** Runs that are being read, by the key of each subrange that the cache lacks. */
  readonly #reading = new Map<
    string,
    { readonly run: Run; readonly work: SharedWork<Uint8Array> }
  >();

  constructor(options: SubrangesOptions) {
    this.#options = options;
  }

  /** The bytes of the range; fewer only at the end of the object. */
  async read(name: string, { offset, length }: Range, options: ReadOptions): Promise<Uint8Array> {
    const { cache, subrangeBytes: size, metrics } = this.#options;
    const first = Math.floor(offset / size);
    const count = Math.ceil((offset + length) / size) - first;
    const keys = Array.from({ length: count }, (_, i) => this.#key(name, first + i));
    metrics.requested('get_range');
    metrics.requestedBytes(length);
    const pieces = options.fresh === true ? [] : await cache.getMany(keys, options.signal);
    const hits = pieces.filter((piece) => piece !== undefined);
    metrics.hit('get_range', hits.length / count);
    metrics.fetchedBytes('cache', totalLength(hits));
    options.signal?.throwIfAborted();
    if (hits.length < count) await this.#fill(name, first, keys, pieces, options);
    const whole = join(pieces as Uint8Array[], size);
    // Parts of different times that do not fit together are none.
    if (whole === undefined)
      return this.read(name, { offset, length }, { ...options, fresh: true });
    const start = offset - first * size;
    return whole.subarray(start, start + length);
  }

  /** Puts every missing piece to its place. */
  async #fill(
    name: string,
    first: number,
    keys: readonly string[],
    pieces: (Uint8Array | undefined)[],
    options: ReadOptions,
  ): Promise<void> {
    const joined: Promise<void>[] = [];
    const missing: Run[] = [];
    for (const [i, key] of keys.entries()) {
      if (pieces[i] !== undefined) continue;
      const reading = options.fresh === true ? undefined : this.#reading.get(key);
      if (reading === undefined || reading.work.isAbandoned) {
        missing.push({ from: first + i, to: first + i + 1 });
        continue;
      }
      const take = async () => {
        const bytes = await reading.work.wait(options.signal);
        pieces[i] = this.#cut(bytes, reading.run, first + i);
      };
      joined.push(take());
    }
    const own = joinNearest(missing, this.#options.maxRequests).map(async (run) => {
      const work = this.#start(name, run, keys, pieces, first, options);
      const bytes = await work.wait(options.signal);
      for (let at = run.from; at < run.to; at++) pieces[at - first] ??= this.#cut(bytes, run, at);
    });
    await Promise.all([...joined, ...own]);
  }

  /** Reads a run for whoever lacks a part of it, and gives it to the cache. */
  #start(
    name: string,
    run: Run,
    keys: readonly string[],
    pieces: readonly (Uint8Array | undefined)[],
    first: number,
    options: ReadOptions,
  ): SharedWork<Uint8Array> {
    const { bucket, cache, subrangeBytes: size, ttlMs, metrics } = this.#options;
    const lacking = range(run).filter((at) => pieces[at - first] === undefined);
    const work = new SharedWork(async (signal) => {
      const bytes = await bucket.read(name, {
        ...options,
        offset: run.from * size,
        length: (run.to - run.from) * size,
        signal,
      });
      let taken = 0;
      for (const at of lacking) {
        const piece = this.#cut(bytes, run, at);
        taken += piece.length;
        if (piece.length > 0) cache.set(keys[at - first]!, piece, ttlMs);
      }
      metrics.fetchedBytes('bucket', taken);
      metrics.refetchedBytes(bytes.length - taken);
      return bytes;
    });
    const reading = { run, work };
    const lackingKeys = lacking.map((at) => keys[at - first]!);
    for (const key of lackingKeys) this.#reading.set(key, reading);
    void work.settled.then(() => {
      for (const key of lackingKeys) {
        if (this.#reading.get(key) === reading) this.#reading.delete(key);
      }
    });
    return work;
  }

  /** Subrange `at` of the bytes of a run; shorter or empty behind the end of the object. */
  #cut(bytes: Uint8Array, run: Run, at: number): Uint8Array {
    const { subrangeBytes: size } = this.#options;
    const start = (at - run.from) * size;
    return bytes.subarray(start, start + size);
  }

  #key(name: string, at: number): string {
    const { keyPrefix, subrangeBytes } = this.#options;
    return `${keyPrefix}:${name}:${subrangeBytes}:${at}`;
  }
}

/** Joins neighbours, and then over the smallest gaps, until at most `limit` runs are left (0: any). */
function joinNearest(runs: readonly Run[], limit: number): Run[] {
  const gaps = runs.slice(1).map((run, i) => run.from - runs[i]!.to);
  const excess = limit === 0 ? 0 : gaps.filter((gap) => gap > 0).length + 1 - limit;
  const bridged = new Set(
    Array.from(gaps.keys())
      .filter((i) => gaps[i]! > 0)
      .sort((a, b) => gaps[a]! - gaps[b]!)
      .slice(0, Math.max(0, excess)),
  );
  const joined: Run[] = runs.slice(0, 1);
  for (const [i, gap] of gaps.entries()) {
    const next = runs[i + 1]!;
    if (gap > 0 && !bridged.has(i)) joined.push(next);
    else joined[joined.length - 1] = { from: joined.at(-1)!.from, to: next.to };
  }
  return joined;
}

/** The pieces in a row; `undefined` if one that is no whole subrange has bytes behind it. */
function join(pieces: readonly Uint8Array[], size: number): Uint8Array | undefined {
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(totalLength(pieces));
  let at = 0;
  let ended = false;
  for (const piece of pieces) {
    if (piece.length > size || (ended && piece.length > 0)) return undefined;
    ended = piece.length < size;
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function totalLength(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

function range({ from, to }: Run): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
