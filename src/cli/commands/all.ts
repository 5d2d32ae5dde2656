import { join, resolve } from 'node:path';
import { LocalBlockWork } from '#/compact/block-work.ts';
import { insideEndpoints, runAll } from '#/components/all-in-one.ts';
import type { AllConfig } from '#/components/all-in-one.ts';
import { ThreadedBlockWork } from '#/components/threaded-block-work.ts';
import { BadInputError } from '#/lib/errors.ts';
import { componentCommand } from '../command.ts';
import { plannedServerFlags } from '../common-flags.ts';
import { flag, parseFlags } from '../flags.ts';
import type { ConfigSource, FlagValues } from '../flags.ts';
import { compactConfig, compactFlags, plannedCompactFlags } from './compact.ts';
import { plannedQueryFlags, queryConfig, queryFlags } from './query.ts';
import { sidecarConfig, sidecarFlags } from './sidecar.ts';
import { plannedStoreFlags, storeConfig, storeFlags } from './store.ts';

/** Of the compactor's flags, those that its neighbours do not have too and that make sense here. */
const {
  wait: _wait,
  'compact.shard-index': _index,
  'compact.shard-count': _count,
  'web.disable': _disable,
  'web.route-prefix': _route,
  'web.external-prefix': _external,
  'web.prefix-header': _header,
  'web.disable-cors': _cors,
  ...ownCompactFlags
} = compactFlags;

const flags = {
  ...ownCompactFlags,
  ...sidecarFlags,
  ...storeFlags,
  ...queryFlags,
  compact: flag.oneOf(['auto', 'on', 'off'], {
    help: 'Whether to compact and downsample the bucket: auto if it is the one below --data-dir. Never beside a compactor of Thanos.',
    default: 'auto',
  }),
  'prometheus.url': flag.list({
    help: 'A Prometheus to serve; each gets a sidecar.',
    placeholder: 'URL',
  }),
  'tsdb.path': flag.list({
    help: 'The data directory of the Prometheus at the same place; with it its blocks are uploaded.',
    placeholder: 'PATH',
  }),
};

/** Everything of the parts that comes later, unless it is here already. */
const planned = [
  ...plannedServerFlags,
  ...plannedQueryFlags,
  ...plannedStoreFlags,
  ...plannedCompactFlags,
].filter((name) => !Object.hasOwn(flags, name));

export const allCommand = componentCommand(
  {
    name: 'all',
    summary:
      'Runs a store gateway, a querier, a compactor and a sidecar for each Prometheus in one process.',
    flags,
    planned,
  },
  async (values, runtime) => {
    await using work = new ThreadedBlockWork(runtime.disk, new LocalBlockWork(runtime.disk));
    await runAll(allConfig(values, runtime.clock.now()), runtime, { work });
  },
);

type Values = FlagValues<typeof flags>;

function allConfig(values: Values, startedAtMs: number): AllConfig {
  const urls = values['prometheus.url'];
  const paths = values['tsdb.path'];
  if (paths.length > 0 && paths.length !== urls.length) {
    throw new BadInputError(
      `--tsdb.path: given ${paths.length} times for ${urls.length} of --prometheus.url; give one for each, or none`,
    );
  }
  const withBucket = { ...values, ...bucketSource(values) };
  const sidecars = urls.map((url, i) => {
    const path = paths[i];
    const source = path === undefined ? NO_BUCKET : {};
    return sidecarConfig({
      ...withBucket,
      ...source,
      'prometheus.url': url,
      'tsdb.path': path ?? '',
    });
  });
  return {
    sidecars,
    store: storeConfig(withBucket),
    query: queryConfig(values, startedAtMs, insideEndpoints(sidecars.length)),
    ...compactorOf(values, startedAtMs),
  };
}

/** Its work goes below the data directory; what blocks a store gateway serves is no matter to it. */
function compactorOf(values: Values, startedAtMs: number): Pick<AllConfig, 'compact'> {
  const source = bucketSource(values);
  if (values.compact === 'off' || (values.compact === 'auto' && source === values)) return {};
  const defaults = parseFlags(compactFlags, [], []).values;
  // Replicas that are merged for good are merged as queries do it.
  const algorithm = values['deduplication.func'] === 'chain' ? '' : values['deduplication.func'];
  const hasReplicas = values['deduplication.replica-label'].length > 0;
  const compact = compactConfig(
    {
      ...defaults,
      ...values,
      ...source,
      wait: true,
      'data-dir': join(values['data-dir'], 'compactor'),
      'deduplication.func': hasReplicas ? algorithm : '',
      'min-time': defaults['min-time'],
      'max-time': defaults['max-time'],
      'consistency-delay': Math.max(defaults['consistency-delay'], values['consistency-delay']),
      'block-discovery-strategy': defaults['block-discovery-strategy'],
    },
    startedAtMs,
  );
  return { compact };
}

interface BucketSource {
  readonly 'objstore.config': ConfigSource | undefined;
  readonly 'objstore.config-file': ConfigSource | undefined;
}

const NO_BUCKET: BucketSource = { 'objstore.config': undefined, 'objstore.config-file': undefined };

/** A directory below the data directory, unless a bucket is given. */
function bucketSource(values: Values): BucketSource {
  const given = values['objstore.config'] ?? values['objstore.config-file'];
  if (given !== undefined) return values;
  const directory = resolve(values['data-dir'], 'bucket');
  const text = JSON.stringify({ type: 'FILESYSTEM', config: { directory } });
  return { ...NO_BUCKET, 'objstore.config': { flag: '--data-dir', text } };
}
