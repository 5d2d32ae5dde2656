import { CorruptionError, messageOf } from '#/lib/errors.ts';
import { goJson } from '#/lib/go-json.ts';
import { looksLikeUlid } from '#/lib/ulid.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { JsonFields } from './block-meta/json-fields.ts';

export const META_FILENAME = 'meta.json';
export const INDEX_FILENAME = 'index';
export const CHUNKS_DIRNAME = 'chunks';
export const TOMBSTONES_FILENAME = 'tombstones';

/** Resolutions of blocks, in milliseconds. */
export const Resolution = { Raw: 0, FiveMinutes: 300_000, OneHour: 3_600_000 } as const;

/** What `meta.json` says of a block. Times are milliseconds; the block covers `[minTime, maxTime)`. */
export interface BlockMeta {
  readonly ulid: string;
  readonly minTime: number;
  readonly maxTime: number;
  readonly stats: BlockStats;
  readonly compaction: BlockCompaction;
  readonly version: 1;
  /** Absent in a block that no Thanos has touched. */
  readonly thanos?: ThanosMeta;
}

/** Counts; 0 where the file says nothing. Aggregate chunks count in `numSamples` alone. */
export interface BlockStats {
  readonly numSamples: number;
  readonly numFloatSamples: number;
  readonly numHistogramSamples: number;
  readonly numSeries: number;
  readonly numChunks: number;
  readonly numTombstones: number;
}

export interface BlockDescription {
  readonly ulid: string;
  readonly minTime: number;
  readonly maxTime: number;
}

export interface BlockCompaction {
  /** 1 for a block cut from a head. */
  readonly level: number;
  /** The level-1 ancestors, sorted; itself at level 1. */
  readonly sources: readonly string[];
  readonly deletable: boolean;
  /** The direct inputs of the compaction that made this block. */
  readonly parents: readonly BlockDescription[];
  readonly failed: boolean;
  /** Such as `from-out-of-order`. */
  readonly hints: readonly string[];
}

/** Of a block that was made of no others. */
export function ownSource(ulid: string): BlockCompaction {
  return { level: 1, sources: [ulid], deletable: false, parents: [], failed: false, hints: [] };
}

export interface ThanosMeta {
  /** External labels, names in byte order. */
  readonly labels: Readonly<Record<string, string>>;
  readonly downsample: { readonly resolution: number };
  /** Which component made the block: `sidecar`, `compactor`, `receive`, … */
  readonly source: string;
  readonly segmentFiles: readonly string[];
  readonly files: readonly BlockFile[];
  /** What `tools bucket rewrite` did, as the file has it. */
  readonly rewrites: readonly unknown[];
  readonly indexStats: { readonly seriesMaxSize: number; readonly chunkMaxSize: number };
  /** Opaque JSON; `undefined` when there is none. */
  readonly extensions?: unknown;
  /** RFC 3339; `''` where the file says nothing. */
  readonly uploadTime: string;
}

export interface BlockFile {
  /** Relative to the block's directory, with slashes. */
  readonly relPath: string;
  /** 0 where unknown, as for `meta.json` itself. */
  readonly sizeBytes: number;
  readonly hash?: { readonly func: string; readonly value: string };
}

export const emptyStats: BlockStats = {
  numSamples: 0,
  numFloatSamples: 0,
  numHistogramSamples: 0,
  numSeries: 0,
  numChunks: 0,
  numTombstones: 0,
};

/**
 * Reads the text of a `meta.json`; `where` names the file in messages. Unknown keys are ignored, as
 * in Go.
 * @throws CorruptionError that names the file and the key if it is no JSON, a value has the wrong
 * type or a version is unknown.
 */
export function parseBlockMeta(text: string, where: string): BlockMeta {
  const root = JsonFields.of(parseJson(text, where), where);
  if (root.integer('version') !== 1) throw root.unexpected('version', '1');
  const stats = root.object('stats');
  const thanos = root.has('thanos') ? parseThanos(root.object('thanos')) : undefined;
  return {
    ...parseDescription(root),
    stats: {
      numSamples: stats.integer('numSamples'),
      numFloatSamples: stats.integer('numFloatSamples'),
      numHistogramSamples: stats.integer('numHistogramSamples'),
      numSeries: stats.integer('numSeries'),
      numChunks: stats.integer('numChunks'),
      numTombstones: stats.integer('numTombstones'),
    },
    compaction: parseCompaction(root.object('compaction')),
    version: 1,
    ...(thanos === undefined ? {} : { thanos }),
  };
}

/**
 * The text of a `meta.json`, byte for byte as Go writes it: with the section of Thanos, and a
 * newline at the end, if the block has one; as plain Prometheus otherwise.
 */
export function printBlockMeta(meta: BlockMeta): string {
  const text = goJson(blockMetaJson(meta), '\t');
  return meta.thanos === undefined ? text : `${text}\n`;
}

/** The value that `meta.json` is the text of; what Go leaves out is `undefined`. */
export function blockMetaJson(meta: BlockMeta): unknown {
  const { stats, compaction, thanos } = meta;
  return {
    ulid: meta.ulid,
    minTime: meta.minTime,
    maxTime: meta.maxTime,
    stats: {
      numSamples: orAbsent(stats.numSamples),
      numFloatSamples: orAbsent(stats.numFloatSamples),
      numHistogramSamples: orAbsent(stats.numHistogramSamples),
      numSeries: orAbsent(stats.numSeries),
      numChunks: orAbsent(stats.numChunks),
      numTombstones: orAbsent(stats.numTombstones),
    },
    compaction: {
      level: compaction.level,
      sources: orAbsent(compaction.sources),
      deletable: orAbsent(compaction.deletable),
      parents: orAbsent(
        compaction.parents.map(({ ulid, minTime, maxTime }) => ({ ulid, minTime, maxTime })),
      ),
      failed: orAbsent(compaction.failed),
      hints: orAbsent(compaction.hints),
    },
    version: meta.version,
    thanos: thanos === undefined ? undefined : thanosToJson(thanos),
  };
}

/** What Go prints for a `time.Time` that was never set. */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

function parseThanos(thanos: JsonFields): ThanosMeta {
  const version = thanos.integer('version');
  if (version !== 0 && version !== 1) throw thanos.unexpected('version', '1');
  const indexStats = thanos.object('index_stats');
  const extensions = thanos.any('extensions');
  return {
    labels: parseLabels(thanos.object('labels')),
    downsample: { resolution: thanos.object('downsample').integer('resolution') },
    source: thanos.text('source'),
    segmentFiles: thanos.texts('segment_files'),
    files: thanos.objects('files').map(parseFile),
    rewrites: thanos.list('rewrites'),
    indexStats: {
      seriesMaxSize: indexStats.integer('series_max_size'),
      chunkMaxSize: indexStats.integer('chunk_max_size'),
    },
    ...(extensions === undefined ? {} : { extensions }),
    uploadTime: thanos.text('upload_time'),
  };
}

function parseCompaction(compaction: JsonFields): BlockCompaction {
  return {
    level: compaction.integer('level'),
    sources: compaction.texts('sources'),
    deletable: compaction.flag('deletable'),
    parents: compaction.objects('parents').map(parseDescription),
    failed: compaction.flag('failed'),
    hints: compaction.texts('hints'),
  };
}

function parseDescription(fields: JsonFields): BlockDescription {
  const ulid = fields.text('ulid');
  if (!looksLikeUlid(ulid)) throw fields.unexpected('ulid', 'a ULID of 26 characters');
  return { ulid, minTime: fields.integer('minTime'), maxTime: fields.integer('maxTime') };
}

function parseFile(file: JsonFields): BlockFile {
  const hash = file.has('hash') ? file.object('hash') : undefined;
  return {
    relPath: file.text('rel_path'),
    sizeBytes: file.integer('size_bytes'),
    ...(hash === undefined
      ? {}
      : { hash: { func: hash.text('hashFunc'), value: hash.text('value') } }),
  };
}

function parseLabels(labels: JsonFields): Record<string, string> {
  const names = labels.names().sort(compareUtf8);
  return Object.fromEntries(names.map((name) => [name, labels.text(name)]));
}

function thanosToJson(thanos: ThanosMeta): unknown {
  const names = Object.keys(thanos.labels).sort(compareUtf8);
  return {
    labels: Object.fromEntries(names.map((name) => [name, thanos.labels[name]])),
    downsample: { resolution: thanos.downsample.resolution },
    source: thanos.source,
    segment_files: orAbsent(thanos.segmentFiles),
    files: orAbsent(
      thanos.files.map(({ relPath, sizeBytes, hash }) => ({
        rel_path: relPath,
        size_bytes: orAbsent(sizeBytes),
        hash: hash === undefined ? undefined : { hashFunc: hash.func, value: hash.value },
      })),
    ),
    rewrites: orAbsent(thanos.rewrites),
    index_stats: {
      series_max_size: orAbsent(thanos.indexStats.seriesMaxSize),
      chunk_max_size: orAbsent(thanos.indexStats.chunkMaxSize),
    },
    extensions: thanos.extensions,
    upload_time: thanos.uploadTime === '' ? ZERO_TIME : thanos.uploadTime,
  };
}

/** Go's `omitempty`: zeros, false and empty lists are left out. */
function orAbsent<T extends number | boolean | readonly unknown[]>(value: T): T | undefined {
  const empty = typeof value === 'object' ? value.length === 0 : !value;
  return empty ? undefined : value;
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw new CorruptionError(`${where}: not valid JSON: ${messageOf(thrown)}`, { cause: thrown });
  }
}
