import { Labels } from '#/model/labels.ts';
import type { LabelSet } from '#/proto/types.ts';
import type { Timestamp } from '#/proto/well-known.ts';

export function labelsOf(set: LabelSet | undefined): Labels {
  return Labels.from(set?.labels ?? []);
}

export function labelSetOf(labels: Labels): LabelSet {
  return { labels: [...labels] };
}

export function withoutReplicas(
  set: LabelSet | undefined,
  replicaLabels: ReadonlySet<string>,
): LabelSet {
  return labelSetOf(labelsOf(set).without(replicaLabels));
}

/** A protobuf time in milliseconds; one that is missing lies before all others. */
export function timeMsOf(time: Timestamp | undefined): number {
  if (time === undefined) return Number.NEGATIVE_INFINITY;
  return Number(time.seconds) * 1000 + time.nanos / 1e6;
}
