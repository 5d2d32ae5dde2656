import { hostname } from 'node:os';
import { DEFAULT_DOWNSAMPLE_AGES } from '#/compact/downsample-plan.ts';
import type { DownsampleAges } from '#/compact/downsample-plan.ts';
import type { RetentionRule, Retentions } from '#/compact/retention-rules.ts';
import { parseRetentionRules } from '#/compact/retention-rules-config.ts';
import type { CompactConfig } from '#/components/compact.ts';
import { systemClock } from '#/lib/clock.ts';
import { BadInputError } from '#/lib/errors.ts';
import { systemRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { formatDuration } from '#/model/time.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { readConfig } from '../config-text.ts';
import { configFlags, configSource, flag } from '../flags.ts';
import type { FlagValues } from '../flags.ts';

/** Flags that the compactor shares with the tools that do a part of its work. */
export const delayFlags = {
  'consistency-delay': flag.duration({
    help: 'How old a block that was not compacted yet must be to be worked on.',
    default: '30m',
  }),
  'delete-delay': flag.duration({
    help: 'Between the mark that a block is to be deleted and its deletion.',
    default: '48h',
  }),
};

export const leaseFlags = {
  'compact.lease': flag.toggle({
    help: 'Keep several compactors on one bucket apart by leases in it, where it keeps the conditions of writes.',
    default: true,
  }),
  'compact.lease-ttl': flag.duration({
    help: 'After what time a job of a compactor that died goes to another; the same for all of them.',
    default: '1m',
  }),
};

export const downsampleAgeFlags = {
  'downsampling.age-5m': flag.duration({
    help: 'How long the time range of a raw block must be to be downsampled to 5 minutes.',
    default: formatDuration(DEFAULT_DOWNSAMPLE_AGES.fiveMinutesMs),
  }),
  'downsampling.age-1h': flag.duration({
    help: 'How long that of a block of 5 minutes must be to be downsampled to 1 hour.',
    default: formatDuration(DEFAULT_DOWNSAMPLE_AGES.oneHourMs),
  }),
};

export const retentionFlags = {
  'retention.resolution-raw': flag.duration({
    help: 'How long to keep raw samples; 0d for ever. They stay until what is still wanted of them is downsampled.',
    default: '0d',
  }),
  'retention.resolution-5m': flag.duration({
    help: 'How long to keep samples of 5 minutes; 0d for ever.',
    default: '0d',
  }),
  'retention.resolution-1h': flag.duration({
    help: 'How long to keep samples of 1 hour; 0d for ever.',
    default: '0d',
  }),
};

export const retentionRulesFlags = {
  ...configFlags('retention.rules', {
    help: 'Retentions of some series: a list of rules with match (selectors of series, external labels included) and retention, or resolution_raw, resolution_5m, resolution_1h. The first that matches counts; other series take the flags above.',
  }),
};

/** A lease is renewed three times in its life, and each renewal takes some requests. */
const LEAST_LEASE_MS = 1000;

export function leasesOf(values: FlagValues<typeof leaseFlags>): CompactConfig['leases'] {
  if (!values['compact.lease']) return undefined;
  const ttlMs = values['compact.lease-ttl'];
  if (ttlMs < LEAST_LEASE_MS) {
    throw new BadInputError(
      `--compact.lease-ttl: must be at least 1s, got ${formatDuration(ttlMs)}`,
    );
  }
  return { holder: `${hostname()}-${newUlid(systemClock.now(), systemRandom)}`, ttlMs };
}

export function downsampleAgesOf(values: FlagValues<typeof downsampleAgeFlags>): DownsampleAges {
  return {
    fiveMinutesMs: values['downsampling.age-5m'],
    oneHourMs: values['downsampling.age-1h'],
  };
}

type RetentionFlag = keyof typeof retentionFlags;

/** @throws BadInputError for a retention that ends before a block is old enough to be downsampled. */
export function retentionsOf(
  values: FlagValues<typeof retentionFlags>,
  ages: DownsampleAges | undefined,
): Retentions {
  const checked = (name: RetentionFlag, leastMs = 0, resolution = '') => {
    const retentionMs = values[name];
    if (retentionMs === 0 || retentionMs >= leastMs) return retentionMs;
    throw new BadInputError(
      `--${name}: must be 0d or at least ${formatDuration(leastMs)}, the age at which blocks are downsampled to ${resolution}, got ${formatDuration(retentionMs)}`,
    );
  };
  const retentions: readonly [resolutionMs: number, retentionMs: number][] = [
    [Resolution.Raw, checked('retention.resolution-raw', ages?.fiveMinutesMs, '5 minutes')],
    [Resolution.FiveMinutes, checked('retention.resolution-5m', ages?.oneHourMs, '1 hour')],
    [Resolution.OneHour, checked('retention.resolution-1h')],
  ];
  return new Map(retentions.filter(([, retentionMs]) => retentionMs > 0));
}

/** @throws BadInputError that says where the rules are wrong. */
export function retentionRulesOf(
  values: FlagValues<typeof retentionRulesFlags>,
  rest: Retentions,
): readonly RetentionRule[] {
  const given = configSource(values['retention.rules'], values['retention.rules-file']);
  if (given === undefined) return [];
  const { source, text } = readConfig(given);
  return parseRetentionRules(source, text, rest);
}

/** @throws BadInputError for less than 1. */
export function atLeastOne<Name extends string>(
  values: Readonly<Record<Name, number>>,
  name: Name,
): number {
  if (values[name] >= 1) return values[name];
  throw new BadInputError(`--${name}: must be at least 1, got ${values[name]}`);
}
