import { METRIC_NAME } from '#/model/labels.ts';
import type { Labels } from '#/model/labels.ts';
import type { VectorMatching } from '../ast.ts';
import type { OutputSeries } from './operator.ts';

/** The labels two series must agree on to be partners. */
export function matchLabels({ on, labels }: VectorMatching): (labels: Labels) => Labels {
  const names = new Set(on ? labels : [...labels, METRIC_NAME]);
  return on ? (full) => full.only(names) : (full) => full.without(names);
}

/** The series of both sides that agree in the labels of a join. */
export interface MatchGroup {
  readonly labels: Labels;
  readonly left: number[];
  readonly right: number[];
}

export interface MatchGroups {
  readonly groups: readonly MatchGroup[];
  /** The group of each series. */
  readonly ofLeft: readonly MatchGroup[];
  readonly ofRight: readonly MatchGroup[];
}

export function groupByMatch(
  left: readonly OutputSeries[],
  right: readonly OutputSeries[],
  matching: VectorMatching,
): MatchGroups {
  const labelsOf = matchLabels(matching);
  const groups = new Map<string, MatchGroup>();
  const groupOf = ({ labels: full }: OutputSeries): MatchGroup => {
    const labels = labelsOf(full);
    let group = groups.get(labels.key);
    if (group === undefined) {
      group = { labels, left: [], right: [] };
      groups.set(labels.key, group);
    }
    return group;
  };
  const ofLeft = left.map(groupOf);
  const ofRight = right.map(groupOf);
  for (const [index, group] of ofLeft.entries()) group.left.push(index);
  for (const [index, group] of ofRight.entries()) group.right.push(index);
  return { groups: [...groups.values()], ofLeft, ofRight };
}
