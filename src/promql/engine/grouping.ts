import { METRIC_NAME } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { OutputSeries } from './operator.ts';

/** The series of one output of an aggregation, in input order. */
export interface Group {
  readonly labels: Labels;
  readonly members: readonly number[];
  readonly dropName: boolean;
}

export interface Grouping {
  readonly without: boolean;
  readonly grouping: readonly string[];
}

/** Maps the labels of a series to those of its group. */
export function groupLabels({ without, grouping }: Grouping): (labels: Labels) => Labels {
  const names = new Set(without ? [...grouping, METRIC_NAME] : grouping);
  return without ? (labels) => labels.without(names) : (labels) => labels.only(names);
}

/** Groups in the order of their first members. */
export function groupSeries(series: readonly OutputSeries[], grouping: Grouping): Group[] {
  const labelsOf = groupLabels(grouping);
  const groups = new Map<string, { labels: Labels; members: number[]; dropName: boolean }>();
  for (const [index, { labels: full, dropName }] of series.entries()) {
    const labels = labelsOf(full);
    const group = groups.get(labels.key);
    if (group === undefined) {
      groups.set(labels.key, { labels, members: [index], dropName });
    } else {
      group.members.push(index);
      group.dropName ||= dropName;
    }
  }
  return [...groups.values()];
}
