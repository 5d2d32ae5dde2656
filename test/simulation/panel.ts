import { randomItem } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { HOUR_MS, MINUTE_MS, MOST_REQUESTS } from './truth.ts';

/** A range query, and how near the oracle its answer must be. */
export interface Question {
  readonly text: string;
  /** The name of the metric that it is about. */
  readonly metric: string;
  readonly rangeMs: number;
  readonly stepMs: number;
  readonly algorithm: DedupAlgorithm;
  readonly maxResolutionMs: number;
  /** Whether it is about series of one replica alone, which any choice of replicas leaves whole. */
  readonly isOwn: boolean;
  /** Answered by raw data only; else at any resolution, and over whole hours. */
  readonly isRaw: boolean;
  /** How far a value may be off, as a part of it and beside that; windows with gaps are left out then. */
  readonly tolerance: { readonly relative: number; readonly absolute: number } | undefined;
}

const RAW: readonly (readonly [metric: string, text: string, rangeMs: number])[] = [
  ['up', 'count_over_time(up[2h])', 2 * HOUR_MS],
  ['temperature', 'sum_over_time(temperature[90m])', 90 * MINUTE_MS],
  ['temperature', 'changes(temperature[1h])', HOUR_MS],
  ['temperature', 'sum(max_over_time(temperature[1h]))', HOUR_MS],
  ['temperature', 'quantile_over_time(0.5, temperature[3h])', 3 * HOUR_MS],
  ['up', 'sum(last_over_time(up[30m])) by (job)', 30 * MINUTE_MS],
  ['own_level', 'stddev_over_time(own_level[2h])', 2 * HOUR_MS],
  ['own_level', 'max(count_over_time(own_level[1h])) by (instance)', HOUR_MS],
  ['own_total', 'sum_over_time(own_total[90m])', 90 * MINUTE_MS],
];

function isOwn(metric: string): boolean {
  return metric.startsWith('own_');
}

/** About raw data, answered with every sample. */
export function drawRaw(random: Random, keepsAllSamples: boolean): Question {
  const panel = RAW.filter(([metric]) => isOwn(metric) || keepsAllSamples);
  const [metric, text, rangeMs] = randomItem(random, panel);
  return {
    text,
    metric,
    rangeMs,
    stepMs: randomItem(random, [10, 30, 60]) * MINUTE_MS,
    algorithm: isOwn(metric) ? randomItem(random, ['chain', 'sticky']) : 'chain',
    maxResolutionMs: Resolution.Raw,
    isOwn: isOwn(metric),
    isRaw: true,
    tolerance: undefined,
  };
}

export const RESOLUTIONS = [Resolution.Raw, Resolution.FiveMinutes, Resolution.OneHour];

/** About whole hours, whatever the resolution: the windows are those of the samples. */
export function drawWhole(random: Random, maxResolutionMs: number): Question {
  const hours = randomItem(random, [2, 3, 6]);
  const name = randomItem(random, ['sum', 'count', 'min', 'max']);
  return {
    text: `${name}_over_time(own_level[${hours}h])`,
    metric: 'own_level',
    rangeMs: hours * HOUR_MS,
    stepMs: HOUR_MS,
    algorithm: randomItem(random, ['chain', 'sticky']),
    maxResolutionMs,
    isOwn: true,
    isRaw: false,
    tolerance: undefined,
  };
}

/** How fast counters grow: of one replica at any resolution, or of whatever the default choice follows. */
export function drawRate(random: Random, maxResolutionMs: number): Question {
  const metric = randomItem(random, ['own_total', 'requests_total']);
  const hours = isOwn(metric) ? 6 : 1;
  return {
    text: `increase(${metric}[${hours}h])`,
    metric,
    rangeMs: hours * HOUR_MS,
    stepMs: HOUR_MS,
    algorithm: 'sticky',
    maxResolutionMs: isOwn(metric) ? maxResolutionMs : Resolution.Raw,
    isOwn: isOwn(metric),
    isRaw: !isOwn(metric),
    // Six windows of an hour tell little about the ends of a range; what is looked for is far worse.
    tolerance: { relative: isOwn(metric) ? 0.2 : 0.03, absolute: 4 * MOST_REQUESTS },
  };
}
