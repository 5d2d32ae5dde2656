import { packUlids, unpackUlids } from '#/lib/ulid.ts';
import type { BlockCompaction, BlockMeta } from '#/tsdb/block-meta.ts';
import { appliedDeletions, leanRewrites } from '#/tsdb/block-rewrites.ts';
import { emptyThanosMeta } from '../block-files.ts';
import type { IndexedBlock, IndexedMark } from '../bucket-index.ts';
import type { MarkKind } from '../markers.ts';

/**
 * What a line of a bucket index says of a block, as JSON. Most blocks have their labels, and many
 * their sources, in common with others: a number stands for those of the line with that number,
 * counted from 0.
 */
export interface BlockLine {
  readonly ulid: string;
  readonly mint: number;
  readonly maxt: number;
  /** Of `meta.json`. */
  readonly modifiedMs?: number;
  /** Samples, floats, histograms, series, chunks, tombstones. */
  readonly stats: readonly number[];
  readonly level: number;
  /** Absent where it is the block itself. */
  readonly sources?: readonly string[] | number;
  /** Absent in a block that no Thanos has touched. */
  readonly thanos?: {
    readonly labels: Readonly<Record<string, string>> | number;
    readonly resolution: number;
    readonly source: string;
    /** The largest series and the largest chunk, in bytes. */
    readonly sizes: readonly [series: number, chunk: number];
    readonly uploaded: string;
    /** Deletions of series that were applied to it; absent for none. */
    readonly deletions?: readonly string[];
  };
  readonly marks?: Readonly<Partial<Record<MarkKind, IndexedMark>>>;
}

/** `meta` without what an index does not keep: files, parents and what else only compaction needs. */
export function leanMeta(meta: BlockMeta): BlockMeta {
  const { compaction, thanos } = meta;
  const lean = { deletable: false, parents: [], failed: false, hints: [] };
  if (thanos === undefined) return { ...meta, compaction: { ...compaction, ...lean } };
  const { labels, downsample, source, indexStats, uploadTime } = thanos;
  const rewrites = leanRewrites(appliedDeletions(meta).keys());
  return {
    ...meta,
    compaction: { ...compaction, ...lean },
    thanos: { ...emptyThanosMeta, labels, downsample, source, rewrites, indexStats, uploadTime },
  };
}

/** Turns blocks into the lines of one index, in their order. */
export class BlockLineWriter {
  readonly #labels = new Map<string, number>();
  readonly #sources = new Map<string, { readonly line: number; readonly all: readonly string[] }>();
  #next = 0;

  line({ meta, modifiedMs, marks }: IndexedBlock): BlockLine {
    const { stats, compaction, thanos } = meta;
    const deletions = [...appliedDeletions(meta).keys()];
    const number = this.#next++;
    const isItsOwnSource = compaction.sources.length === 1 && compaction.sources[0] === meta.ulid;
    return {
      ulid: meta.ulid,
      mint: meta.minTime,
      maxt: meta.maxTime,
      ...(modifiedMs === undefined ? {} : { modifiedMs }),
      stats: [
        stats.numSamples,
        stats.numFloatSamples,
        stats.numHistogramSamples,
        stats.numSeries,
        stats.numChunks,
        stats.numTombstones,
      ],
      level: compaction.level,
      ...(isItsOwnSource ? {} : { sources: this.#sourcesAt(number, compaction.sources) }),
      ...(thanos === undefined
        ? {}
        : {
            thanos: {
              labels: this.#labelsAt(number, thanos.labels),
              resolution: thanos.downsample.resolution,
              source: thanos.source,
              sizes: [thanos.indexStats.seriesMaxSize, thanos.indexStats.chunkMaxSize] as const,
              uploaded: thanos.uploadTime,
              ...(deletions.length === 0 ? {} : { deletions }),
            },
          }),
      ...(Object.keys(marks).length === 0 ? {} : { marks }),
    };
  }

  #labelsAt(
    line: number,
    labels: Readonly<Record<string, string>>,
  ): Readonly<Record<string, string>> | number {
    const key = JSON.stringify(labels);
    const first = this.#labels.getOrInsert(key, line);
    return first === line ? labels : first;
  }

  /** As a rule the raw block and its downsampled ones have the same; the key is short on purpose. */
  #sourcesAt(line: number, all: readonly string[]): readonly string[] | number {
    const key = `${all.length} ${all[0]} ${all.at(-1)}`;
    const first = this.#sources.getOrInsert(key, { line, all });
    const isSame = first.line !== line && first.all.every((source, i) => source === all[i]);
    return isSame ? first.line : all;
  }
}

/** Reads the lines of one index, in their order. Blocks that are as in `known` are taken from there. */
export class BlockLineReader {
  readonly #known: ReadonlyMap<string, IndexedBlock> | undefined;
  readonly #metas: BlockMeta[] = [];
  /** What many blocks have in common, each once. */
  readonly #shared = new Map<string, string>();
  readonly #resolutions = new Map<number, { readonly resolution: number }>();

  constructor(known: ReadonlyMap<string, IndexedBlock> | undefined) {
    this.#known = known;
  }

  block(line: BlockLine): IndexedBlock {
    const { ulid, modifiedMs, marks = noMarks } = line;
    const known = this.#known?.get(ulid);
    const isKnown = modifiedMs !== undefined && known?.modifiedMs === modifiedMs;
    const meta = isKnown ? known.meta : this.#meta(line);
    this.#metas.push(meta);
    return { meta, modifiedMs, marks };
  }

  #meta({ ulid, mint, maxt, stats, level, sources = [ulid], thanos }: BlockLine): BlockMeta {
    const [samples = 0, floats = 0, histograms = 0, series = 0, chunks = 0, tombstones = 0] = stats;
    return {
      ulid,
      minTime: mint,
      maxTime: maxt,
      stats: {
        numSamples: samples,
        numFloatSamples: floats,
        numHistogramSamples: histograms,
        numSeries: series,
        numChunks: chunks,
        numTombstones: tombstones,
      },
      compaction: this.#compaction(level, sources),
      version: 1,
      ...(thanos === undefined ? {} : { thanos: this.#thanos(thanos) }),
    };
  }

  #compaction(level: number, sources: readonly string[] | number): BlockCompaction {
    if (typeof sources !== 'number') return new LeanCompaction(level, packUlids(sources));
    const earlier = this.#earlier(sources).compaction;
    const packed = earlier instanceof LeanCompaction ? earlier.packed : packUlids(earlier.sources);
    return new LeanCompaction(level, packed);
  }

  #thanos(line: NonNullable<BlockLine['thanos']>): NonNullable<BlockMeta['thanos']> {
    const { labels, resolution, source, sizes, uploaded, deletions = [] } = line;
    return {
      ...emptyThanosMeta,
      labels: typeof labels === 'number' ? (this.#earlier(labels).thanos?.labels ?? {}) : labels,
      downsample: this.#resolutions.getOrInsertComputed(resolution, () => ({ resolution })),
      source: this.#shared.getOrInsert(source, source),
      rewrites: leanRewrites(deletions),
      indexStats: { seriesMaxSize: sizes[0], chunkMaxSize: sizes[1] },
      uploadTime: uploaded,
    };
  }

  #earlier(line: number): BlockMeta {
    const meta = this.#metas[line];
    if (meta === undefined) throw new Error(`line ${line} is referred to before it came`);
    return meta;
  }
}

const noMarks: IndexedBlock['marks'] = Object.freeze({});
const none: readonly never[] = Object.freeze([]);

/**
 * How a block came to be, for the very many that an index has: most of what a list of ULIDs takes are
 * the strings. They are made anew whenever `sources` is asked for, which is no property of the object:
 * a copy by spreading has none.
 */
class LeanCompaction implements BlockCompaction {
  readonly level: number;
  readonly packed: string;

  constructor(level: number, packed: string) {
    this.level = level;
    this.packed = packed;
  }

  get sources(): readonly string[] {
    return unpackUlids(this.packed);
  }

  get deletable(): boolean {
    return false;
  }

  get parents(): readonly never[] {
    return none;
  }

  get failed(): boolean {
    return false;
  }

  get hints(): readonly never[] {
    return none;
  }
}
