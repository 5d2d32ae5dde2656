import { hash } from 'node:crypto';
import { parseCachingBucketConfig } from '#/blocks/caching-bucket-config.ts';
import { runStore } from '#/components/store.ts';
import type { StoreConfig } from '#/components/store.ts';
import { BadInputError } from '#/lib/errors.ts';
import { inMemoryIndexCache, parseIndexCacheConfig } from '#/storeapi/index-cache.ts';
import type { IndexCacheConfig } from '#/storeapi/index-cache.ts';
import { componentCommand } from '../command.ts';
import {
  globalFlags,
  grpcFlags,
  httpFlags,
  objstoreFlags,
  plannedServerFlags,
  storeLimitFlags,
} from '../common-flags.ts';
import { readConfig } from '../config-text.ts';
import type { ConfigText } from '../config-text.ts';
import { configFlags, configSource, flag } from '../flags.ts';
import type { ConfigSource, FlagValues } from '../flags.ts';
import { processLimit, systemMemory } from './memory-limits.ts';
import { bucketOf, grpcOf, httpOf, selectorOf } from './shared.ts';

export const storeFlags = {
  ...globalFlags,
  ...httpFlags,
  ...grpcFlags,
  ...objstoreFlags,
  ...storeLimitFlags,
  ...configFlags('selector.relabel-config', {
    help: 'Which blocks to serve: relabeling (keep, drop, hashmod) of their external labels.',
  }),
  'data-dir': flag.text({ help: 'Where index-headers are kept.', default: './data' }),
  'index-cache-size': flag.bytes({
    help: 'Memory for postings and series of blocks, without --index-cache.config.',
    default: '250MB',
  }),
  ...configFlags('index-cache.config', {
    help: 'Where postings and series of blocks are kept: IN-MEMORY, MEMCACHED or REDIS.',
  }),
  ...configFlags('store.caching-bucket.config', {
    help: 'Where chunks, metas and listings of the bucket are kept: IN-MEMORY, MEMCACHED or REDIS.',
    hidden: true,
  }),
  'store.index-header-cache-size': flag.bytes({
    help: 'Memory for opened index-headers; those used longest ago are let go.',
    default: '1GB',
  }),
  'store.memory-limit': flag.bytes({
    help: 'Bytes that calls together may hold, and the process may have; 0 for half of the memory limit of the container, or of the free memory if it has none.',
    default: '0',
  }),
  'store.grpc.series-max-concurrency': flag.integer({
    help: 'Series calls that run at once; 0 for no bound.',
    default: '20',
  }),
  'store.grpc.downloaded-bytes-limit': flag.bytes({
    help: 'Bytes that one Series call may fetch; 0 for no limit.',
    default: '0',
  }),
  'sync-block-duration': flag.duration({
    help: 'How often to look for new blocks.',
    default: '15m',
  }),
  'store.deletion-sync-interval': flag.duration({
    help: 'How often to look for deletions of series: at most this long, and the time of one listing, deleted samples are still answered.',
    default: '30s',
  }),
  'block-discovery-strategy': flag.oneOf(['concurrent', 'recursive', 'bucket-index'], {
    help: 'How blocks are found: by a look for each meta.json, by one listing of everything, or through the index that hindsight compact keeps in the bucket (as concurrent while there is none).',
    default: 'concurrent',
  }),
  'block-sync-concurrency': flag.integer({
    help: 'Blocks that are opened at once.',
    default: '20',
  }),
  'block-meta-fetch-concurrency': flag.integer({
    help: 'meta.json files that are read at once.',
    default: '32',
  }),
  'min-time': flag.time({
    help: 'Serve nothing older: RFC 3339, or a duration relative to now such as -2w.',
    default: '0000-01-01T00:00:00Z',
  }),
  'max-time': flag.time({
    help: 'Serve nothing newer: RFC 3339, or a duration relative to now such as -2h.',
    default: '9999-12-31T23:59:59Z',
  }),
  'consistency-delay': flag.duration({
    help: 'How old a block must be to be served.',
    default: '0s',
  }),
  'ignore-deletion-marks-delay': flag.duration({
    help: 'How long a block is served after it was marked for deletion.',
    default: '24h',
  }),
  'store.enable-index-header-lazy-reader': flag.toggle({
    help: 'Build index-headers on first use. Off: all of them when a block is found.',
    default: true,
  }),
};

/** Flags of Thanos's store gateway that come later. */
export const plannedStoreFlags = [
  ...plannedServerFlags,
  'chunk-pool-size',
  'cache-index-header',
  'store.grpc.touched-series-limit',
  'store.grpc.series-sample-limit',
  'objstore-parquet.config',
  'objstore-parquet.config-file',
  'store.index-header-lazy-download-strategy',
  'store.enable-lazy-expanded-postings',
  'store.posting-group-max-key-series-ratio',
  'matcher-cache-size',
  'web.disable',
  'web.external-prefix',
  'web.prefix-header',
  'web.disable-cors',
  'bucket-web-label',
  'disable-admin-operations',
];

export const storeCommand = componentCommand(
  {
    name: 'store',
    summary: 'Serves the blocks in a bucket over StoreAPI.',
    flags: storeFlags,
    planned: plannedStoreFlags,
  },
  (values, runtime) => runStore(storeConfig(values), runtime),
);

function memoryOf(values: FlagValues<typeof storeFlags>): number {
  return processLimit(values['store.memory-limit'], systemMemory());
}

/** A cache takes an eighth of the limit at most, whatever its own flag says. */
function cacheBytes(wanted: number, values: FlagValues<typeof storeFlags>): number {
  return Math.min(wanted, Math.floor(memoryOf(values) / 8));
}

function indexCacheOf(values: FlagValues<typeof storeFlags>): IndexCacheConfig {
  const config = configIn(values['index-cache.config'], values['index-cache.config-file']);
  if (config === undefined)
    return inMemoryIndexCache(cacheBytes(values['index-cache-size'], values));
  return parseIndexCacheConfig(config.source, config.text);
}

/** The text of a pair of flags; an empty one counts as none, as in Thanos. */
function configIn(
  inPlace: ConfigSource | undefined,
  file: ConfigSource | undefined,
): ConfigText | undefined {
  const source = configSource(inPlace, file);
  const config = source && readConfig(source);
  return config?.text.trim() === '' ? undefined : config;
}

/** Caches are shared by those whose bucket is configured in the same words. */
function cachingBucketOf(
  values: FlagValues<typeof storeFlags>,
  bucket: ConfigSource,
): Pick<StoreConfig, 'cachingBucket'> {
  const config = configIn(
    values['store.caching-bucket.config'],
    values['store.caching-bucket.config-file'],
  );
  if (config === undefined) return {};
  const words = readConfig(bucket, 'expand').text.trim();
  const identity = hash('sha256', words, 'base64url').slice(0, 16);
  return { cachingBucket: { ...parseCachingBucketConfig(config.source, config.text), identity } };
}

export function storeConfig(values: FlagValues<typeof storeFlags>): StoreConfig {
  const source = configSource(values['objstore.config'], values['objstore.config-file']);
  if (source === undefined) {
    throw new BadInputError(
      '--objstore.config or --objstore.config-file is required: which bucket to serve?',
    );
  }
  const selector = selectorOf(values);
  return {
    http: httpOf(values),
    grpc: grpcOf(values),
    openBucket: bucketOf(source, values),
    dataDirectory: values['data-dir'],
    indexCache: indexCacheOf(values),
    ...cachingBucketOf(values, source),
    headerCacheBytes: cacheBytes(values['store.index-header-cache-size'], values),
    limits: {
      series: values['store.limits.request-series'],
      samples: values['store.limits.request-samples'],
      bytes: values['store.grpc.downloaded-bytes-limit'],
    },
    memoryBytes: memoryOf(values),
    seriesConcurrency: values['store.grpc.series-max-concurrency'],
    sync: {
      intervalMs: values['sync-block-duration'],
      listing: values['block-discovery-strategy'],
      blockConcurrency: values['block-sync-concurrency'],
      metaConcurrency: values['block-meta-fetch-concurrency'],
      eagerHeaders: !values['store.enable-index-header-lazy-reader'],
      deletionIntervalMs: values['store.deletion-sync-interval'],
    },
    filters: {
      minTime: values['min-time'],
      maxTime: values['max-time'],
      consistencyDelayMs: values['consistency-delay'],
      ignoreDeletionMarksDelayMs: values['ignore-deletion-marks-delay'],
      ...(selector === undefined ? {} : { selector }),
    },
  };
}
