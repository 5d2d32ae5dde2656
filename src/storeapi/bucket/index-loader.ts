import { planPostings, plannedLists, selectPostings, ALL_POSTINGS } from '#/tsdb/postings-plan.ts';
import { decodePostings, encodePostings, noPostings } from '#/tsdb/postings.ts';
import type { Postings } from '#/tsdb/postings.ts';
import { CorruptionError } from '#/lib/errors.ts';
import type { Matcher } from '#/model/matcher.ts';
import { SeriesEntry, readSection, readSeriesBody } from '#/tsdb/index.ts';
import type { PostingsRange } from '#/tsdb/index.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import type { IndexHeader } from '#/tsdb/index-header.ts';
import type { BlockSource } from './block-source.ts';
import type { HeaderWanted } from './header-cache.ts';
import { twiceIfDamaged } from './losses.ts';
import type { BlockReading } from './losses.ts';
import { coalesce } from './ranges.ts';

/** What a series entry is taken to be long when nothing is known. */
const DEFAULT_SERIES_BYTES = 64 * 1024;
/** No entry is longer: a length above it is a damaged one. */
const MAX_SERIES_BYTES = 16 * 1024 * 1024;
/** Series whose entries are in memory at once. */
const BATCH_SERIES = 5000;
/** A selection of more series would drive everything else out of the cache, and find little there. */
const MAX_CACHED_SERIES = 100_000;
/** As read, decoded, for the cache, and put together. */
const COPIES_OF_LISTS = 4;
/** Lists that are looked at together for whether deleted series are all that is in them. */
const LISTS_AT_ONCE = 256;
/** Words in a list besides its numbers: their count, and padding. */
const LIST_SLACK = 4;
/** What a series whose entry is in memory takes besides its bytes: views, keys, the list of them. */
const ENTRY_OVERHEAD_BYTES = 250;

/**
 * Visits one series, `id` by its number in the index; `labels` gives `[name, value, …]` of the entry at
 * hand. False ends the visits.
 */
export type Visit = (entry: SeriesEntry, labels: () => readonly string[], id: number) => boolean;

/** Visits the series whose entries are in memory; returns whether none of the visits ended it. */
export type VisitAll = (visit: Visit) => boolean;

/** Series, and the bodies of their entries. */
interface Batch {
  readonly header: IndexHeader;
  readonly batch: Postings;
  readonly bodies: readonly (Uint8Array | undefined)[];
  readonly reading: BlockReading;
}

interface PostingsList {
  readonly key: string;
  readonly range: PostingsRange;
}

/** Reads postings and series of one block: from the cache, and by joined ranges of its index. */
export class IndexLoader {
  readonly #source: BlockSource;
  readonly #seriesBytes: number;

  constructor(source: BlockSource) {
    this.#source = source;
    const known = source.meta.thanos?.indexStats.seriesMaxSize ?? 0;
    this.#seriesBytes =
      known > 0 ? Math.min(known + 16, DEFAULT_SERIES_BYTES) : DEFAULT_SERIES_BYTES;
  }

  async labelNames(wanted: HeaderWanted): Promise<string[]> {
    return [...(await this.#source.header(wanted)).labelNames()];
  }

  async labelValues(name: string, wanted: HeaderWanted): Promise<string[]> {
    return (await this.#source.header(wanted)).labelValues(name);
  }

  /** The names of labels that any series has besides those that are `gone`. */
  async labelNamesWithout(gone: Postings, reading: BlockReading): Promise<string[]> {
    const names: string[] = [];
    for (const name of await this.labelNames(reading)) {
      for await (const _ of this.#valuesWithout(name, gone, reading)) {
        names.push(name);
        break;
      }
    }
    return names;
  }

  /** The values that any series has besides those that are `gone`. */
  async labelValuesWithout(name: string, gone: Postings, reading: BlockReading): Promise<string[]> {
    return Array.fromAsync(this.#valuesWithout(name, gone, reading));
  }

  /** In no order; only the lists are read that are no longer than `gone`. */
  async *#valuesWithout(
    name: string,
    gone: Postings,
    reading: BlockReading,
  ): AsyncGenerator<string, void> {
    const header = await this.#source.header(reading);
    const values = header.labelValues(name);
    const isLonger = (value: string) => {
      const range = header.postingsRange(name, value);
      return range !== undefined && (range.end - range.start) / 4 > gone.length + LIST_SLACK;
    };
    yield* values.filter(isLonger);
    const short = values.filter((value) => !isLonger(value));
    const goneIds = new Set(gone);
    for (let from = 0; from < short.length; from += LISTS_AT_ONCE) {
      const wanted = short.slice(from, from + LISTS_AT_ONCE).map((value) => ({ name, value }));
      const lists = await this.#lists(header, wanted, reading);
      for (const { value } of wanted) {
        const list = lists.get(this.#postingsKey(name, value)) ?? noPostings;
        if (list.some((id) => !goneIds.has(id))) yield value;
      }
    }
  }

  /**
   * The series that all matchers select, in the order of the index, batch by batch: what is yielded
   * visits those of one. No matchers select all. A series whose entry is damaged is a loss.
   */
  async *batches(
    matchers: readonly Matcher[],
    reading: BlockReading,
  ): AsyncGenerator<VisitAll, void> {
    const header = await this.#source.header(reading);
    const selected = await this.#select(header, matchers, reading);
    using held = reading.limiter.hold(selected.byteLength);
    const isCached = selected.length <= MAX_CACHED_SERIES;
    for (let from = 0; from < selected.length; from += BATCH_SERIES) {
      const batch = selected.subarray(from, from + BATCH_SERIES);
      const bodies = await this.#seriesBodies(header, batch, isCached, reading);
      const bytes = bodies.reduce((sum, body) => sum + (body?.length ?? 0), 0);
      held.set(selected.byteLength + bytes + batch.length * ENTRY_OVERHEAD_BYTES);
      yield (visit) => this.#visitAll({ header, batch, bodies, reading }, visit);
    }
  }

  #visitAll({ header, batch, bodies, reading }: Batch, visit: Visit): boolean {
    const entry = new SeriesEntry();
    const labels = () => entry.labels((symbol) => header.symbol(symbol)).flat;
    for (const [i, body] of bodies.entries()) {
      if (body === undefined) continue;
      try {
        entry.decode(body, header.seriesOffset(batch[i]!));
        if (!visit(entry, labels, batch[i]!)) return false;
      } catch (thrown) {
        reading.losses.add(inBlock(this.#source.meta, thrown));
      }
    }
    return true;
  }

  async #select(
    header: IndexHeader,
    matchers: readonly Matcher[],
    reading: BlockReading,
  ): Promise<Postings> {
    if (matchers.length === 0) {
      const all = await this.#lists(header, [ALL_POSTINGS], reading);
      return [...all.values()][0] ?? noPostings;
    }
    const key = this.#selectionKey(matchers);
    const known = key === undefined ? undefined : await this.#knownSelection(key, reading);
    if (known !== undefined) return known;
    const plan = planPostings(matchers, (name) => header.labelValues(name));
    if (plan === undefined) return noPostings;
    using _held = reading.limiter.hold(COPIES_OF_LISTS * listBytes(header, plannedLists(plan)));
    const lists = await this.#lists(header, plannedLists(plan), reading);
    const selected = selectPostings(plan, (name, value) =>
      lists.get(this.#postingsKey(name, value)),
    );
    if (key !== undefined) {
      this.#source.indexCache.expandedPostings.set(key, encodePostings(selected));
    }
    return selected;
  }

  async #knownSelection(
    key: string,
    { limiter, signal }: BlockReading,
  ): Promise<Postings | undefined> {
    const [body] = await this.#source.indexCache.expandedPostings.getMany([key], signal);
    if (body === undefined) return undefined;
    limiter.addBytes(body.length);
    return decodePostings(body, this.#where('expanded postings'));
  }

  /** The lists that exist, by their cache keys. */
  async #lists(
    header: IndexHeader,
    wanted: readonly { readonly name: string; readonly value: string }[],
    reading: BlockReading,
  ): Promise<Map<string, Postings>> {
    const { limiter, signal } = reading;
    const lists: PostingsList[] = wanted.flatMap(({ name, value }) => {
      const range = listRange(header, name, value);
      return range === undefined ? [] : [{ key: this.#postingsKey(name, value), range }];
    });
    const decoded = new Map<string, Postings>();
    const cached = await this.#source.indexCache.postings.getMany(
      lists.map(({ key }) => key),
      signal,
    );
    const missing: PostingsList[] = [];
    for (const [i, list] of lists.entries()) {
      const body = cached[i];
      if (body === undefined) {
        missing.push(list);
      } else {
        limiter.addBytes(body.length);
        decoded.set(list.key, decodePostings(body, this.#where('postings list')));
      }
    }
    missing.sort((a, b) => a.range.start - b.range.start);
    const reads = coalesce(missing.map(({ range }) => range));
    await Promise.all(
      reads.map(({ start, end, from, to }) =>
        twiceIfDamaged(async () => {
          const bytes = await this.#read('postings', { start, end }, reading);
          for (const { key, range } of missing.slice(from, to)) {
            const section = bytes.subarray(range.start - start, range.end - start);
            const body = readSection(section, this.#where('postings list'), range.start);
            decoded.set(key, decodePostings(body, this.#where('postings list')));
            this.#source.indexCache.postings.set(key, body);
          }
        }),
      ),
    );
    return decoded;
  }

  /** The bodies of series entries, in the order of `series`, which ascends; none for a damaged one. */
  async #seriesBodies(
    header: IndexHeader,
    series: Postings,
    isCached: boolean,
    reading: BlockReading,
  ): Promise<(Uint8Array | undefined)[]> {
    const { limiter, losses, signal } = reading;
    const { series: cache } = this.#source.indexCache;
    const keys = isCached ? Array.from(series, (id) => this.#seriesKey(id)) : [];
    const cached = isCached ? await cache.getMany(keys, signal) : [];
    const missing: { at: number; start: number; end: number }[] = [];
    const bodies = Array.from<Uint8Array | undefined>({ length: series.length });
    for (const [at, id] of series.entries()) {
      const body = cached[at];
      if (body !== undefined) {
        limiter.addBytes(body.length);
        bodies[at] = body;
        continue;
      }
      const start = header.seriesOffset(id);
      missing.push({ at, start, end: start + this.#seriesBytes });
    }
    await Promise.all(
      coalesce(missing).map(async ({ start, end, from, to }) => {
        const bytes = await this.#read('series', { start, end }, reading);
        for (const wanted of missing.slice(from, to)) {
          const body = await losses.attempt(() =>
            this.#seriesBody(bytes, wanted.start, start, reading),
          );
          if (body === undefined) continue;
          if (isCached) cache.set(keys[wanted.at]!, body);
          bodies[wanted.at] = body;
        }
      }),
    );
    return bodies;
  }

  /**
   * The entry at `offset` of the index, of which `bytes` are a part that begins at `base`. It is read
   * by itself if it is not whole there, or damaged, which may have happened on the way.
   */
  async #seriesBody(
    bytes: Uint8Array,
    offset: number,
    base: number,
    reading: BlockReading,
  ): Promise<Uint8Array> {
    try {
      const body = bodyIfWhole(bytes, offset - base, base);
      return body ?? (await this.#longSeriesBody(offset, reading));
    } catch (thrown) {
      throw inBlock(this.#source.meta, thrown);
    }
  }

  /** An entry that is longer than was taken for granted: twice as much, until it fits. */
  async #longSeriesBody(offset: number, reading: BlockReading): Promise<Uint8Array> {
    for (let length = 2 * this.#seriesBytes; length <= MAX_SERIES_BYTES; length *= 2) {
      const end = offset + length;
      const bytes = await this.#read('series', { start: offset, end }, reading);
      const body = readSeriesBody(bytes, 0, offset);
      if (body !== undefined) return body;
      if (bytes.length < length) {
        throw new CorruptionError(
          `index series entry at offset ${offset}: found the end of the index, expected the rest of the entry`,
        );
      }
    }
    throw new CorruptionError(
      `index series entry at offset ${offset}: found a length above ${MAX_SERIES_BYTES} bytes, expected less`,
    );
  }

  async #read(
    reason: 'postings' | 'series',
    { start, end }: { readonly start: number; readonly end: number },
    { limiter, signal, tally }: BlockReading,
  ): Promise<Uint8Array> {
    const { bucket, meta } = this.#source;
    const bytes = await bucket.read(`${meta.ulid}/index`, {
      offset: start,
      length: end - start,
      reason,
      tally,
      signal,
    });
    limiter.addBytes(bytes.length);
    return bytes;
  }

  #postingsKey(name: string, value: string): string {
    return `P:${this.#source.meta.ulid}:${JSON.stringify([name, value])}`;
  }

  /** None where the selection is a list of the index as it is. */
  #selectionKey(matchers: readonly Matcher[]): string | undefined {
    if (matchers.length === 1 && matchers[0]!.type === '=' && matchers[0]!.value !== '') {
      return undefined;
    }
    const texts = matchers.map(({ type, name, value }) => JSON.stringify([name, type, value]));
    return `EP:${this.#source.meta.ulid}:${texts.sort().join()}`;
  }

  #seriesKey(id: number): string {
    return `S:${this.#source.meta.ulid}:${id}`;
  }

  #where(what: string): string {
    return `block ${this.#source.meta.ulid}: index ${what}`;
  }
}

function bodyIfWhole(bytes: Uint8Array, offset: number, base: number): Uint8Array | undefined {
  try {
    return readSeriesBody(bytes, offset, base);
  } catch (thrown) {
    if (thrown instanceof CorruptionError) return undefined;
    throw thrown;
  }
}

/** Names the block in the message of what was found damaged in it. */
function inBlock({ ulid }: BlockMeta, thrown: unknown): unknown {
  if (!(thrown instanceof CorruptionError)) return thrown;
  return new CorruptionError(`block ${ulid}: ${thrown.message}`, { cause: thrown });
}

function listBytes(
  header: IndexHeader,
  lists: readonly { readonly name: string; readonly value: string }[],
): number {
  return lists.reduce((sum, { name, value }) => {
    const range = listRange(header, name, value);
    return range === undefined ? sum : sum + range.end - range.start;
  }, 0);
}

/** The list's section, with the length and the checksum around its body. */
function listRange(header: IndexHeader, name: string, value: string): PostingsRange | undefined {
  const body = header.postingsRange(name, value);
  return body && { start: body.start - 4, end: body.end + 4 };
}
