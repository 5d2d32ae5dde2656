import { BadInputError } from '#/lib/errors.ts';
import { ZERO_TIME } from '#/tsdb/block-meta.ts';
import type { BlockDescription, BlockMeta } from '#/tsdb/block-meta.ts';

/** A value as Go's templates see it: a struct, a map, a list or a scalar. */
type GoValue =
  | { readonly [field: string]: GoValue }
  | ReadonlyMap<string, GoValue>
  | readonly GoValue[]
  | string
  | number
  | boolean;

/**
 * Compiles a template over a block's meta: text with fields in braces, named as Thanos's structs
 * name them (`{{.ULID}}: {{.Stats.NumSeries}} series of {{.Thanos.Labels.cluster}}`). Of Go's
 * text/template these are the fields alone; values print as Go prints them.
 * @throws BadInputError for anything else in braces; the function, for a field that no meta has.
 */
export function compileMetaTemplate(template: string): (meta: BlockMeta) => string {
  const parts = template.split(/(\{\{.*?\}\})/s).map((part) => {
    if (!part.startsWith('{{')) return () => part;
    const path = /^\{\{\s*((?:\.\w+)+|\.)\s*\}\}$/.exec(part)?.[1]?.split('.');
    if (path === undefined) {
      throw new BadInputError(
        `--output: expected a field such as {{.ULID}} or {{.Thanos.Labels.cluster}}, got ${part}`,
      );
    }
    const names = path.filter((name) => name !== '');
    return (root: GoValue) => printGo(names.reduce(fieldOf, root));
  });
  return (meta) => {
    const root = goMeta(meta);
    return parts.map((print) => print(root)).join('');
  };
}

function fieldOf(value: GoValue, name: string): GoValue {
  if (isMap(value)) return value.get(name) ?? '<no value>';
  if (typeof value === 'object' && !isList(value) && Object.hasOwn(value, name)) {
    return value[name]!;
  }
  const fields = typeof value === 'object' && !isList(value) ? Object.keys(value) : [];
  const hint = fields.length === 0 ? 'it has no fields' : `use one of ${fields.join(', ')}`;
  throw new BadInputError(`--output: no field ".${name}"; ${hint}`);
}

/** As `%v` of Go's fmt: `map[a:1 b:2]`, `[x y]`, `{x 1}`. */
function printGo(value: GoValue): string {
  if (isMap(value)) {
    const pairs = Array.from(value, ([name, inner]) => `${name}:${printGo(inner)}`);
    return `map[${pairs.join(' ')}]`;
  }
  if (isList(value)) return `[${value.map(printGo).join(' ')}]`;
  if (typeof value === 'object') return `{${Object.values(value).map(printGo).join(' ')}}`;
  return String(value);
}

function isMap(value: GoValue): value is ReadonlyMap<string, GoValue> {
  return value instanceof Map;
}

function isList(value: GoValue): value is readonly GoValue[] {
  return Array.isArray(value);
}

/** Fields and their order as in pkg/block/metadata/meta.go of Thanos and tsdb/block.go of Prometheus. */
function goMeta({ stats, compaction, thanos, version, ...block }: BlockMeta): GoValue {
  return {
    ...goBlock(block),
    Stats: {
      NumSamples: stats.numSamples,
      NumFloatSamples: stats.numFloatSamples,
      NumHistogramSamples: stats.numHistogramSamples,
      NumSeries: stats.numSeries,
      NumChunks: stats.numChunks,
      NumTombstones: stats.numTombstones,
    },
    Compaction: {
      Level: compaction.level,
      Sources: compaction.sources,
      Deletable: compaction.deletable,
      Parents: compaction.parents.map(goBlock),
      Failed: compaction.failed,
      Hints: compaction.hints,
    },
    Version: version,
    Thanos: {
      Labels: new Map(Object.entries(thanos?.labels ?? {})),
      Downsample: { Resolution: thanos?.downsample.resolution ?? 0 },
      Source: thanos?.source ?? '',
      SegmentFiles: thanos?.segmentFiles ?? [],
      Files: (thanos?.files ?? []).map(({ relPath, sizeBytes, hash }) => ({
        RelPath: relPath,
        SizeBytes: sizeBytes,
        Hash: hash === undefined ? '<nil>' : { Func: hash.func, Value: hash.value },
      })),
      IndexStats: {
        SeriesMaxSize: thanos?.indexStats.seriesMaxSize ?? 0,
        ChunkMaxSize: thanos?.indexStats.chunkMaxSize ?? 0,
      },
      UploadTime: goTime(thanos?.uploadTime || ZERO_TIME),
    },
  };
}

/** RFC 3339 in UTC, as `time.Time` prints itself. */
function goTime(text: string): string {
  return text.replace('T', ' ').replace('Z', ' +0000 UTC');
}

function goBlock({ ulid, minTime, maxTime }: BlockDescription) {
  return { ULID: ulid, MinTime: minTime, MaxTime: maxTime };
}
