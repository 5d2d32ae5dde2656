import { LocalBlockWork } from '#/compact/block-work.ts';
import { COMPACTION_RANGES } from '#/compact/planner.ts';
import { ThreadedBlockWork } from '#/components/threaded-block-work.ts';
import { runCompact } from '#/components/compact.ts';
import type { CompactConfig } from '#/components/compact.ts';
import type { CompactWebConfig } from '#/components/compact-web.ts';
import { BadInputError } from '#/lib/errors.ts';
import { componentCommand } from '../command.ts';
import {
  globalFlags,
  httpFlags,
  objstoreFlags,
  plannedServerFlags,
  webFlags,
} from '../common-flags.ts';
import { configFlags, configSource, flag, flagTexts } from '../flags.ts';
import type { FlagValues } from '../flags.ts';
import {
  atLeastOne,
  delayFlags,
  downsampleAgeFlags,
  downsampleAgesOf,
  leaseFlags,
  leasesOf,
  retentionFlags,
  retentionRulesFlags,
  retentionRulesOf,
  retentionsOf,
} from './compact-flags.ts';
import { version } from '../version.ts';
import { bucketOf, httpOf, selectorOf, viewerOf } from './shared.ts';

const MAX_LEVEL = COMPACTION_RANGES.length - 1;

export const compactFlags = {
  ...globalFlags,
  ...httpFlags,
  ...objstoreFlags,
  ...configFlags('selector.relabel-config', {
    help: 'Which blocks to compact: relabeling (keep, drop, hashmod) of their external labels.',
  }),
  'data-dir': flag.text({
    help: 'Where blocks are worked on. A job needs room for its blocks twice.',
    default: './data',
  }),
  wait: flag.toggle({
    help: 'Stay when everything is done, and look for new work.',
    default: false,
    short: 'w',
  }),
  'wait-interval': flag.duration({
    help: 'How often to look for new work, with --wait.',
    default: '5m',
  }),
  ...delayFlags,
  'block-discovery-strategy': flag.oneOf(['concurrent', 'recursive'], {
    help: 'How blocks are found: by a look for each meta.json, or by one listing of everything.',
    default: 'concurrent',
  }),
  'block-meta-fetch-concurrency': flag.integer({
    help: 'meta.json files that are read at once.',
    default: '32',
  }),
  'block-files-concurrency': flag.integer({
    help: 'Files of a block that are transferred at once.',
    default: '1',
  }),
  'compact.concurrency': flag.integer({
    help: 'Groups that are compacted at once.',
    default: '1',
  }),
  'compact.blocks-fetch-concurrency': flag.integer({
    help: 'Blocks of a compaction that are downloaded at once.',
    default: '1',
  }),
  'compact.cleanup-interval': flag.duration({
    help: 'How often marked blocks and what is left of uploads are deleted, with --wait; 0s for as often as --wait-interval.',
    default: '5m',
  }),
  'compact.progress-interval': flag.duration({
    help: 'How often metrics of what is left are brought up to date, with --wait; 0s for never.',
    default: '5m',
  }),
  ...leaseFlags,
  'compact.shard-index': flag.integer({
    help: 'Which shard of --compact.shard-count this compactor works on, from 0.',
    default: '0',
  }),
  'compact.shard-count': flag.integer({
    help: 'Into how many shards streams are divided, by a hash of their external labels: for several compactors on a bucket without leases.',
    default: '1',
  }),
  'compact.enable-vertical-compaction': flag.toggle({
    help: 'Merge blocks that overlap. On with --deduplication.replica-label.',
    default: false,
    hidden: true,
  }),
  'compact.skip-block-with-out-of-order-chunks': flag.toggle({
    help: 'Mark blocks with chunks out of order as not to be compacted, instead of a quarantine.',
    default: false,
    hidden: true,
  }),
  'compact.block-max-index-size': flag.bytes({
    help: 'How large the index of a block may become.',
    default: '64GB',
    hidden: true,
  }),
  'deduplication.replica-label': flag.list({
    help: 'An external label that tells replicas apart; their blocks are merged into one for good.',
  }),
  'deduplication.func': flag.oneOf(['', 'penalty', 'sticky'], {
    help: "How replicas are merged: '' keeps the samples of all (for equal ones), penalty is Thanos's way for replicas of Prometheus, sticky follows one replica and switches only at a gap.",
    default: '',
  }),
  'downsampling.disable': flag.toggle({ help: 'Do not downsample.', default: false }),
  'downsample.concurrency': flag.integer({
    help: 'Blocks that are downsampled at once.',
    default: '1',
  }),
  ...downsampleAgeFlags,
  ...retentionFlags,
  ...retentionRulesFlags,
  'retention.dry-run': flag.toggle({
    help: 'Only say in the log which blocks, and which series of them, retention would take.',
    default: false,
  }),
  'compact.series-deletion-keep': flag.duration({
    help: 'How long a deletion of series stays in force at least, for blocks with older data that are yet to come. After that it goes as soon as no block has anything of it.',
    default: '30d',
  }),
  'hash-func': flag.oneOf(['', 'SHA256'], {
    help: 'Hash of every file to write into meta.json.',
    default: '',
  }),
  'min-time': flag.time({
    help: 'Work on nothing older: RFC 3339, or a duration relative to now such as -2w.',
    default: '0000-01-01T00:00:00Z',
  }),
  'max-time': flag.time({
    help: 'Work on nothing newer: RFC 3339, or a duration relative to now such as -2h.',
    default: '9999-12-31T23:59:59Z',
  }),
  ...webFlags,
  'web.enable-admin-api': flag.toggle({
    help: 'Let series be deleted through the API: POST /api/v1/admin/tsdb/delete_series.',
    default: false,
  }),
  'web.disable': flag.toggle({ help: 'Serve no page and no API.', default: false }),
  'bucket-web-label': flag.text({
    help: 'The external label that the rows of the block viewer are named by; all of them when empty.',
    default: '',
  }),
  'block-viewer.global.sync-block-interval': flag.duration({
    help: 'How old what the viewer of the whole bucket shows may be; it looks when somebody asks.',
    default: '1m',
  }),
  'block-viewer.global.sync-block-timeout': flag.duration({
    help: 'How long such a look may take.',
    default: '5m',
  }),
  'debug.halt-on-error': flag.toggle({
    help: 'Leave a group with a fault alone until its blocks change; off: try it again in every pass.',
    default: true,
    hidden: true,
  }),
  'debug.accept-malformed-index': flag.toggle({
    help: 'Only off: series whose labels are out of order cannot be merged right.',
    default: false,
    hidden: true,
  }),
  'debug.max-compaction-level': flag.integer({
    help: `The level of the largest blocks, up to ${MAX_LEVEL}.`,
    default: String(MAX_LEVEL),
    hidden: true,
  }),
};

/** Flags of Thanos's compactor that come later. */
export const plannedCompactFlags = [...plannedServerFlags];

export const compactCommand = componentCommand(
  {
    name: 'compact',
    summary: 'Compacts, deduplicates and downsamples the blocks in a bucket.',
    flags: compactFlags,
    planned: plannedCompactFlags,
  },
  async (values, runtime) => {
    await using work = new ThreadedBlockWork(runtime.disk, new LocalBlockWork(runtime.disk));
    await runCompact(compactConfig(values, runtime.clock.now()), runtime, { work });
  },
);

export function compactConfig(
  values: FlagValues<typeof compactFlags>,
  startedAtMs: number,
): CompactConfig {
  const source = configSource(values['objstore.config'], values['objstore.config-file']);
  if (source === undefined) {
    throw new BadInputError(
      '--objstore.config or --objstore.config-file is required: which bucket to compact?',
    );
  }
  if (values['debug.accept-malformed-index']) {
    throw new BadInputError(
      '--debug.accept-malformed-index: series whose labels are out of order would be merged wrong; without the flag such blocks are named and left alone',
    );
  }
  const selector = selectorOf(values);
  const replicaLabels = values['deduplication.replica-label'].flatMap((text) => text.split(','));
  const algorithm = values['deduplication.func'];
  if (algorithm !== '' && replicaLabels.length === 0) {
    throw new BadInputError(
      `--deduplication.func=${algorithm} needs a --deduplication.replica-label: which blocks are replicas?`,
    );
  }
  const downsampleAges = values['downsampling.disable'] ? undefined : downsampleAgesOf(values);
  const retentions = retentionsOf(values, downsampleAges);
  return {
    http: httpOf(values),
    openBucket: bucketOf(source, values),
    dataDirectory: values['data-dir'],
    wait: values.wait,
    waitIntervalMs: values['wait-interval'],
    cleanupIntervalMs: values['compact.cleanup-interval'],
    progressIntervalMs: values['compact.progress-interval'],
    sync: {
      listing: values['block-discovery-strategy'],
      metaConcurrency: values['block-meta-fetch-concurrency'],
    },
    filters: {
      minTime: values['min-time'],
      maxTime: values['max-time'],
      consistencyDelayMs: values['consistency-delay'],
      ...(selector === undefined ? {} : { selector }),
      ...shardOf(values),
    },
    leases: leasesOf(values),
    deleteDelayMs: values['delete-delay'],
    replicaLabels,
    verticalCompaction: values['compact.enable-vertical-compaction'],
    algorithm: algorithm === '' ? 'chain' : algorithm,
    skipOutOfOrderChunks: values['compact.skip-block-with-out-of-order-chunks'],
    maxIndexBytes: values['compact.block-max-index-size'],
    haltOnError: values['debug.halt-on-error'],
    concurrency: atLeastOne(values, 'compact.concurrency'),
    downsampleConcurrency: atLeastOne(values, 'downsample.concurrency'),
    blockFetchConcurrency: atLeastOne(values, 'compact.blocks-fetch-concurrency'),
    fileConcurrency: atLeastOne(values, 'block-files-concurrency'),
    hashFunction: values['hash-func'],
    ranges: rangesOf(values['debug.max-compaction-level']),
    downsampleAges,
    retentions,
    retentionRules: retentionRulesOf(values, retentions),
    retentionDryRun: values['retention.dry-run'],
    seriesDeletions: {
      keepMs: values['compact.series-deletion-keep'],
      adminApi: values['web.enable-admin-api'],
    },
    ...(values['web.disable'] ? {} : { web: webOf(values, startedAtMs) }),
  };
}

function webOf(values: FlagValues<typeof compactFlags>, startedAtMs: number): CompactWebConfig {
  return {
    ...viewerOf(values),
    label: values['bucket-web-label'],
    maxAgeMs: values['block-viewer.global.sync-block-interval'],
    timeoutMs: values['block-viewer.global.sync-block-timeout'],
    status: { version, startedAtMs, flags: flagTexts(compactFlags, values) },
  };
}

function shardOf(values: FlagValues<typeof compactFlags>): Pick<CompactConfig['filters'], 'shard'> {
  const index = values['compact.shard-index'];
  const count = values['compact.shard-count'];
  if (count < 1) throw new BadInputError(`--compact.shard-count: must be at least 1, got ${count}`);
  if (index < 0 || index >= count) {
    throw new BadInputError(
      `--compact.shard-index: must be from 0 to ${count - 1}, one less than --compact.shard-count, got ${index}`,
    );
  }
  return count === 1 ? {} : { shard: { index, count } };
}

function rangesOf(level: number): readonly number[] {
  if (level >= 0 && level <= MAX_LEVEL) return COMPACTION_RANGES.slice(0, level + 1);
  throw new BadInputError(
    `--debug.max-compaction-level: must be from 0 to ${MAX_LEVEL}, got ${level}`,
  );
}
