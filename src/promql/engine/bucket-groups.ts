import { METRIC_NAME } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { OutputSeries } from './operator.ts';

export const BUCKET_LABEL = 'le';
const bucketLabel = new Set([BUCKET_LABEL]);

/** The series that together are one histogram, classic, native or now and then either. */
export interface HistogramGroup {
  /** Without `le`. */
  readonly labels: Labels;
  readonly metricName: string;
  /** The classic buckets, bounds rising. */
  readonly buckets: { readonly bound: number; readonly member: number }[];
  /** The series of native histograms under these very labels. */
  native: number | undefined;
}

export interface HistogramGroups {
  /** In the order of their first series. */
  readonly groups: readonly HistogramGroup[];
  /** The floats of these are no buckets: their `le` is no number. */
  readonly malformed: readonly number[];
}

export function groupHistograms(series: readonly OutputSeries[]): HistogramGroups {
  const groups = new Map<string, HistogramGroup>();
  const malformed: number[] = [];
  const groupOf = (labels: Labels): HistogramGroup => {
    let group = groups.get(labels.key);
    if (group === undefined) {
      const metricName = labels.get(METRIC_NAME);
      group = { labels, metricName, buckets: [], native: undefined };
      groups.set(labels.key, group);
    }
    return group;
  };
  for (const [member, { labels }] of series.entries()) {
    const bound = parseBound(labels.get(BUCKET_LABEL));
    if (bound === undefined) malformed.push(member);
    else groupOf(labels.without(bucketLabel)).buckets.push({ bound, member });
    groupOf(labels).native = member;
  }
  for (const { buckets } of groups.values()) buckets.sort((a, b) => a.bound - b.bound);
  return { groups: [...groups.values()], malformed };
}

/** As Go's strconv.ParseFloat reads decimal numbers; `undefined` for anything else. */
function parseBound(text: string): number | undefined {
  if (/^[+-]?(inf|infinity)$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return NaN;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined;
}
