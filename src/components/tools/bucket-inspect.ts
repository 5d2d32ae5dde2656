import type { Labels } from '#/model/labels.ts';
import { formatGoDuration } from '#/model/time.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { secondsText } from './bucket-ls.ts';
import { fetchBlocks, inTime } from './bucket-tool.ts';
import type { BucketTool } from './bucket-tool.ts';
import { printTable } from './print-table.ts';
import type { TableFormat } from './print-table.ts';

export interface InspectConfig {
  /** A block must have all of these external labels. */
  readonly selector: Labels;
  /** Columns to sort by, the first one first; the ULID decides among equals. */
  readonly sortBy: readonly InspectColumn[];
  readonly output: TableFormat;
  readonly timeoutMs: number;
}

/** A column: what it shows, and what rows are compared by if that is not the text. */
interface Column {
  readonly text: (meta: BlockMeta) => string;
  readonly order?: (meta: BlockMeta) => number;
}

const HOUR_MS = 3_600_000;
const thousands = new Intl.NumberFormat('en-US');

const columns = {
  ULID: { text: ({ ulid }) => ulid },
  FROM: time(({ minTime }) => minTime),
  UNTIL: time(({ maxTime }) => maxTime),
  RANGE: {
    text: (meta) => formatGoDuration(rangeMs(meta)),
    order: rangeMs,
  },
  'UNTIL-DOWN': {
    text: (meta) => {
      const left = untilDownsamplingMs(meta);
      return left === undefined ? '-' : formatGoDuration(left);
    },
    order: (meta) => untilDownsamplingMs(meta) ?? Number.NEGATIVE_INFINITY,
  },
  '#SERIES': count(({ stats }) => stats.numSeries),
  '#SAMPLES': count(({ stats }) => stats.numSamples),
  '#CHUNKS': count(({ stats }) => stats.numChunks),
  'COMP-LEVEL': count(({ compaction }) => compaction.level),
  'COMP-FAILED': { text: ({ compaction }) => String(compaction.failed) },
  LABELS: {
    text: ({ thanos }) =>
      Object.entries(thanos?.labels ?? {})
        .map(([name, value]) => `${name}=${value}`)
        .join(','),
  },
  RESOLUTION: {
    text: (meta) => formatGoDuration(resolutionOf(meta)),
    order: resolutionOf,
  },
  SOURCE: { text: ({ thanos }) => thanos?.source ?? '' },
} satisfies Record<string, Column>;

export type InspectColumn = keyof typeof columns;
export const inspectColumns = Object.keys(columns) as InspectColumn[];

/** Writes a table of the bucket's whole blocks, one a row. */
export async function inspectBlocks(config: InspectConfig, tool: BucketTool): Promise<number> {
  const { metas } = await inTime(tool, config.timeoutMs, (signal) => fetchBlocks(tool, [], signal));
  const rows = metas
    .filter((meta) => hasLabels(meta, config.selector))
    .sort((a, b) => compareBy(config.sortBy, a, b))
    .map((meta) => Object.values(columns).map(({ text }) => text(meta)));
  tool.write(printTable(config.output, inspectColumns, rows));
  return 0;
}

function compareBy(sortBy: readonly InspectColumn[], a: BlockMeta, b: BlockMeta): number {
  for (const name of sortBy) {
    const { text, order }: Column = columns[name];
    const [left, right] = order === undefined ? [text(a), text(b)] : [order(a), order(b)];
    if (left !== right) return left < right ? -1 : 1;
  }
  return a.ulid < b.ulid ? -1 : 1;
}

function hasLabels({ thanos }: BlockMeta, selector: Labels): boolean {
  const labels = thanos?.labels ?? {};
  return Object.entries(selector.toObject()).every(([name, value]) => labels[name] === value);
}

/** How much longer a block must get to be downsampled; `undefined` at the last resolution. */
function untilDownsamplingMs(meta: BlockMeta): number | undefined {
  switch (resolutionOf(meta)) {
    case Resolution.Raw:
      return 40 * HOUR_MS - rangeMs(meta);
    case Resolution.FiveMinutes:
      return 10 * 24 * HOUR_MS - rangeMs(meta);
    default:
      return undefined;
  }
}

function rangeMs({ minTime, maxTime }: BlockMeta): number {
  return maxTime - minTime;
}

function resolutionOf({ thanos }: BlockMeta): number {
  return thanos?.downsample.resolution ?? Resolution.Raw;
}

/** Whole seconds, as Thanos shows and compares them. */
function time(read: (meta: BlockMeta) => number): Required<Column> {
  const seconds = (meta: BlockMeta) => Math.trunc(read(meta) / 1000);
  return { text: (meta) => secondsText(seconds(meta)), order: seconds };
}

function count(read: (meta: BlockMeta) => number): Required<Column> {
  return { text: (meta) => thousands.format(read(meta)), order: read };
}
