import { resolve } from 'node:path';
import { insideEndpoints, runAll } from '#/components/all-in-one.ts';
import type { AllConfig } from '#/components/all-in-one.ts';
import { BadInputError } from '#/lib/errors.ts';
import { componentCommand } from '../command.ts';
import { plannedServerFlags } from '../common-flags.ts';
import { flag } from '../flags.ts';
import type { ConfigSource, FlagValues } from '../flags.ts';
import { plannedQueryFlags, queryConfig, queryFlags } from './query.ts';
import { sidecarConfig, sidecarFlags } from './sidecar.ts';
import { plannedStoreFlags, storeConfig, storeFlags } from './store.ts';

const flags = {
  ...sidecarFlags,
  ...storeFlags,
  ...queryFlags,
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
const planned = [...plannedServerFlags, ...plannedQueryFlags, ...plannedStoreFlags].filter(
  (name) => !Object.hasOwn(flags, name),
);

export const allCommand = componentCommand(
  {
    name: 'all',
    summary: 'Runs a store gateway, a querier and a sidecar for each Prometheus in one process.',
    flags,
    planned,
  },
  (values, runtime) => runAll(allConfig(values, runtime.clock.now()), runtime),
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
  };
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
