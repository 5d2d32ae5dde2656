import { MemoryDisk } from '#/lib/memory-disk.ts';
import { messageOf } from '#/lib/errors.ts';
import { isUlid } from '#/lib/ulid.ts';
import type { MemoryBucket } from '#/objstore/memory.ts';
import { Block } from '#/tsdb/block.ts';
import { META_FILENAME, parseBlockMeta, Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { contentProblem, firstTimeOf } from './block-content.ts';
import type { WantedSeries } from './block-content.ts';
import type { Doom } from './doom.ts';
import type { Excuse } from './excuses.ts';
import { DOOMED, indexesIn } from './truth.ts';
import type { Replica, Truth } from './truth.ts';

/** A block as a Prometheus cut it: what everything in the bucket comes from. */
export interface Source {
  readonly ulid: string;
  readonly replica: Replica;
  readonly mint: number;
  readonly maxt: number;
  /** A block was in the bucket that had it. */
  isUploaded: boolean;
  /** Somebody deleted a block that had it with his own hands: nobody else is to blame. */
  isForgiven: boolean;
}

interface LedgerOptions {
  readonly bucket: MemoryBucket;
  readonly truth: Truth;
  readonly now: () => number;
  /** A block may be deleted this long after it was marked, as the clocks of the run see it. */
  readonly deleteDelayMs: number;
  /** Whether samples of that resolution that end then may be gone; the clocks of the run included. */
  readonly isExpired: (resolutionMs: number, maxt: number) => boolean;
  /** Blocks that span as much are downsampled before retention may take them. */
  readonly downsampledFromMs: number;
  /** Whether merged blocks have the samples of all replicas, or those that a choice has left. */
  readonly keepsAllSamples: boolean;
  readonly doom: Doom;
  readonly violated: (invariant: string, detail: string) => void;
}

/**
 * Knows what must be in the bucket, and looks at every change to it:
 * - a block with a `meta.json` is whole, can be opened, and has exactly the samples of its sources;
 * - it is deleted only if other blocks have its sources, and not before its mark was there long enough.
 */
export class Ledger {
  readonly sources = new Map<string, Source>();
  /** Blocks with a `meta.json`, by ULID. */
  readonly complete = new Map<string, BlockMeta>();
  readonly #options: LedgerOptions;
  readonly #verified = new Set<string>();
  readonly #markedAt = new Map<string, number>();
  /** Blocks whose directories somebody deletes by hand. */
  readonly #handled = new Set<string>();

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  addSource(source: Pick<Source, 'ulid' | 'replica' | 'mint' | 'maxt'>): void {
    this.sources.set(source.ulid, { ...source, isUploaded: false, isForgiven: false });
  }

  /** Somebody is about to delete the block, whatever depends on it. */
  forgive(ulid: string): void {
    this.#handled.add(ulid);
    for (const source of this.complete.get(ulid)?.compaction.sources ?? []) {
      this.sources.get(source)!.isForgiven = true;
    }
  }

  /** Where somebody's own hands took what nobody else may: raw data, if nothing more. */
  forgiven(): Excuse[] {
    return [...this.sources.values()].filter(({ isForgiven }) => isForgiven);
  }

  /** Where no resolution has data any more, neither in the bucket nor in the replica's Prometheus. */
  gone(localFromMs: (replica: Replica) => number): Excuse[] {
    const covered = new Set<string>();
    for (const [id, { compaction }] of this.complete) {
      if (!this.#verified.has(id) || this.#markedAt.has(id)) continue;
      for (const source of compaction.sources) covered.add(source);
    }
    return [...this.sources.values()].filter(
      ({ ulid, replica, maxt }) => !covered.has(ulid) && maxt <= localFromMs(replica),
    );
  }

  /** Whether it was marked for deletion so long ago that somebody must have deleted it. */
  isOverdue(ulid: string): boolean {
    const { now, deleteDelayMs } = this.#options;
    const markedAt = this.#markedAt.get(ulid);
    return markedAt !== undefined && now() - markedAt > 2 * deleteDelayMs;
  }

  changed(kind: 'upload' | 'remove', name: string): void {
    const id = name.slice(0, 26);
    if (!isUlid(id) || name[26] !== '/') return;
    const file = name.slice(27);
    if (file === META_FILENAME) {
      if (kind === 'upload') this.#metaUploaded(id);
      else this.#metaRemoved(id);
    } else if (file.endsWith('-mark.json')) {
      if (file !== 'deletion-mark.json') return;
      if (kind === 'remove') this.#markedAt.delete(id);
      else if (!this.#markedAt.has(id)) this.#markedAt.set(id, this.#options.now());
    } else this.#fileChanged(kind, id, file);
  }

  #metaUploaded(id: string): void {
    const { bucket, violated } = this.#options;
    const text = new TextDecoder().decode(bucket.peek(`${id}/${META_FILENAME}`));
    const meta = parseBlockMeta(text, id);
    this.complete.set(id, meta);
    const problems = (meta.thanos?.files ?? []).flatMap(({ relPath, sizeBytes }) => {
      const found = bucket.peek(`${id}/${relPath}`)?.length;
      if (relPath === META_FILENAME || found === sizeBytes) return [];
      return [`${relPath} has ${found ?? 'no'} bytes instead of ${sizeBytes}`];
    });
    if (problems.length > 0) {
      violated('every block with a meta.json is whole', `${id}: ${problems.join(', ')}`);
      return;
    }
    void this.#verify(meta).catch((thrown: unknown) =>
      violated('every block with a meta.json can be opened', `${id}: ${messageOf(thrown)}`),
    );
  }

  #fileChanged(kind: 'upload' | 'remove', id: string, file: string): void {
    const { bucket, violated } = this.#options;
    const meta = this.complete.get(id);
    if (meta === undefined || this.#handled.has(id)) return;
    const stated = meta.thanos?.files.find(({ relPath }) => relPath === file)?.sizeBytes;
    const found = bucket.peek(`${id}/${file}`)?.length;
    if (stated === undefined || stated === found) return;
    violated(
      'every block with a meta.json is whole',
      `${id}: after ${kind} ${file} has ${found ?? 'no'} bytes instead of ${stated}`,
    );
  }

  #metaRemoved(id: string): void {
    const { violated, now, deleteDelayMs, isExpired, downsampledFromMs } = this.#options;
    const meta = this.complete.get(id);
    if (meta === undefined) return;
    this.complete.delete(id);
    const resolution = meta.thanos?.downsample.resolution ?? 0;
    const bare = this.#uncovered(meta, resolution);
    const lost = bare.filter((id) => !isExpired(resolution, this.sources.get(id)!.maxt));
    const isDownsampled = meta.maxTime - meta.minTime >= downsampledFromMs;
    if (resolution === 0 && bare.length > 0 && isDownsampled) {
      const childless = this.#uncovered(meta, Resolution.FiveMinutes);
      if (childless.length > 0) {
        violated(
          'retention takes a raw block only after it was downsampled',
          `${id} is deleted and no downsampled block has ${childless.join(', ')}`,
        );
      }
    }
    if (lost.length > 0) {
      violated(
        'no block is deleted before a verified successor exists',
        `${id} is deleted and nothing has the samples of ${lost.join(', ')}`,
      );
    }
    if (this.#handled.has(id)) return;
    const markedAt = this.#markedAt.get(id);
    const age = markedAt === undefined ? 0 : now() - markedAt;
    if (age >= deleteDelayMs) return;
    const mark = markedAt === undefined ? 'without a mark' : `${age / 60_000} min after its mark`;
    violated('a block is deleted only after the delay', `${id} is deleted ${mark}`);
  }

  /** Sources of the block that no block of the resolution has. */
  #uncovered({ compaction }: BlockMeta, resolution: number): string[] {
    const covered = new Set<string>();
    for (const [id, other] of this.complete) {
      if ((other.thanos?.downsample.resolution ?? 0) !== resolution) continue;
      if (!this.#verified.has(id)) continue;
      for (const source of other.compaction.sources) covered.add(source);
    }
    return compaction.sources.filter(
      (source) => !covered.has(source) && this.sources.get(source)?.isForgiven !== true,
    );
  }

  async #verify(meta: BlockMeta): Promise<void> {
    const { violated } = this.#options;
    const block = await this.#open(meta);
    const resolution = meta.thanos?.downsample.resolution ?? Resolution.Raw;
    const problem = await contentProblem(block, this.#contentOf(meta), resolution);
    if (problem !== undefined) {
      violated('a block has exactly the samples of its sources', `${meta.ulid}: ${problem}`);
      return;
    }
    this.#verified.add(meta.ulid);
    if (resolution !== Resolution.Raw) return;
    for (const id of meta.compaction.sources) this.sources.get(id)!.isUploaded = true;
  }

  /** The block as it is at this moment, whatever becomes of it in the bucket. */
  async #open({ ulid, thanos }: BlockMeta): Promise<Block> {
    const { bucket } = this.#options;
    const disk = new MemoryDisk({ clock: { now: this.#options.now } });
    const files = (thanos?.files ?? []).map(({ relPath }) => `${ulid}/${relPath}`);
    const contents = files.map((name) => bucket.peek(name)!);
    for (const [i, name] of files.entries()) await disk.write(`/${name}`, contents[i]!);
    return Block.open(disk, `/${ulid}`);
  }

  /** Blocks that still have samples which had to go from everywhere. */
  async doomed(): Promise<string[]> {
    const untilMs = this.#options.doom.goneUntilMs();
    const found: string[] = [];
    for (const [id, meta] of this.complete) {
      if (this.#markedAt.has(id)) continue;
      const block = await this.#open(meta);
      const time = await firstTimeOf(block, DOOMED);
      if (time <= untilMs) found.push(id);
    }
    return found;
  }

  /** What the block's sources have, by the keys of the series' labels. */
  #contentOf({ compaction }: BlockMeta): Map<string, WantedSeries> {
    const content = new Map<string, WantedSeries>();
    for (const id of compaction.sources) {
      const source = this.sources.get(id)!;
      for (const series of this.#options.truth.get(source.replica)!) {
        const { from, to } = indexesIn(series, source);
        if (from === to) continue;
        const { samples } = content.getOrInsertComputed(series.labels.key, () => ({
          samples: new Map(),
          isWhole: series.isOwn || this.#options.keepsAllSamples,
          keptFromMs: this.#options.doom.keptFromMs(series.labels.get('__name__')),
        }));
        for (let i = from; i < to; i++) samples.set(series.times[i]!, series.values[i]!);
      }
    }
    return content;
  }
}
