import { runSidecar } from '#/components/sidecar.ts';
import type { SidecarConfig } from '#/components/sidecar.ts';
import { parseHttpClientConfig } from '#/http/client-config.ts';
import { BadInputError } from '#/lib/errors.ts';
import { componentCommand } from '../command.ts';
import {
  globalFlags,
  grpcFlags,
  httpFlags,
  objstoreFlags,
  plannedServerFlags,
  shipperFlags,
  storeLimitFlags,
} from '../common-flags.ts';
import { readConfig } from '../config-text.ts';
import { configFlags, configSource, flag } from '../flags.ts';
import type { FlagValues } from '../flags.ts';
import { bucketOf, grpcOf, httpOf } from './shared.ts';

export const sidecarFlags = {
  ...globalFlags,
  ...httpFlags,
  ...grpcFlags,
  ...objstoreFlags,
  ...shipperFlags,
  ...storeLimitFlags,
  'prometheus.url': flag.text({
    help: "Prometheus's base URL.",
    default: 'http://localhost:9090',
  }),
  'prometheus.ready_timeout': flag.duration({
    help: 'How long uploads wait for Prometheus to start.',
    default: '10m',
  }),
  'prometheus.get_config_interval': flag.duration({
    help: "How often Prometheus's external labels are asked for.",
    default: '30s',
  }),
  'prometheus.get_config_timeout': flag.duration({
    help: 'How long that may take.',
    default: '30s',
  }),
  ...configFlags('prometheus.http-client', { help: 'How to talk to Prometheus, as in Thanos.' }),
  'tsdb.path': flag.text({ help: "Prometheus's data directory.", default: './data' }),
  'reloader.config-file': flag.text({
    help: "Prometheus's configuration, to watch.",
    default: '',
  }),
  'reloader.config-envsubst-file': flag.text({
    help: 'Where to write it with $(NAME) replaced by the environment.',
    default: '',
  }),
  'reloader.rule-dir': flag.list({ help: 'A directory of rules, to watch.', placeholder: 'PATH' }),
  'reloader.watch-interval': flag.duration({
    help: 'How often to look at the files even when nothing was told.',
    default: '3m',
  }),
  'reloader.retry-interval': flag.duration({
    help: 'How soon to try a failed reload again.',
    default: '5s',
  }),
  'reloader.method': flag.oneOf(['http', 'signal'], {
    help: 'How to make Prometheus reload: POST /-/reload, or SIGHUP.',
    default: 'http',
  }),
  'reloader.process-name': flag.text({
    help: "The name of Prometheus's executable, for signal.",
    default: 'prometheus',
  }),
  'min-time': flag.time({
    help: 'Serve nothing older: RFC 3339, or a duration relative to now such as -2w.',
    default: '0000-01-01T00:00:00Z',
  }),
};

export const sidecarCommand = componentCommand(
  {
    name: 'sidecar',
    summary: 'Serves a Prometheus over StoreAPI and uploads its blocks.',
    flags: sidecarFlags,
    planned: plannedServerFlags,
  },
  (values, runtime) => runSidecar(sidecarConfig(values), runtime),
);

export function sidecarConfig(values: FlagValues<typeof sidecarFlags>): SidecarConfig {
  const bucket = configSource(values['objstore.config'], values['objstore.config-file']);
  const client = configSource(
    values['prometheus.http-client'],
    values['prometheus.http-client-file'],
  );
  const { source, text } = client === undefined ? { source: '', text: '{}' } : readConfig(client);
  return {
    http: httpOf(values),
    grpc: grpcOf(values),
    prometheus: {
      url: urlOf('--prometheus.url', values['prometheus.url']),
      client: parseHttpClientConfig(source, text),
      readyTimeoutMs: values['prometheus.ready_timeout'],
      getConfigIntervalMs: values['prometheus.get_config_interval'],
      getConfigTimeoutMs: values['prometheus.get_config_timeout'],
    },
    reloader: {
      configFile: values['reloader.config-file'],
      outputFile: values['reloader.config-envsubst-file'],
      ruleDirectories: values['reloader.rule-dir'],
      watchIntervalMs: values['reloader.watch-interval'],
      retryIntervalMs: values['reloader.retry-interval'],
      method: values['reloader.method'],
      processName: values['reloader.process-name'],
    },
    ...(bucket === undefined
      ? {}
      : { upload: { openBucket: bucketOf(bucket, values), ...uploadOf(values) } }),
    limits: {
      requestSeries: values['store.limits.request-series'],
      requestSamples: values['store.limits.request-samples'],
    },
    minTime: values['min-time'],
  };
}

function uploadOf(values: FlagValues<typeof sidecarFlags>) {
  return {
    tsdbPath: values['tsdb.path'],
    metaFileName: values['shipper.meta-file-name'],
    ignoreUnequalBlockSize: values['shipper.ignore-unequal-block-size'],
    uploadCompacted: values['shipper.upload-compacted'],
    allowOutOfOrderUploads: values['shipper.allow-out-of-order-uploads'],
    skipCorruptedBlocks: values['shipper.skip-corrupted-blocks'],
    hashFunction: values['hash-func'],
    uploadConcurrency: Math.max(1, values['shipper.upload-concurrency']),
    uploadBytesPerSecond: values['shipper.upload-bandwidth'],
  };
}

function urlOf(name: string, text: string): URL {
  if (!URL.canParse(text) || !/^https?:/.test(text)) {
    throw new BadInputError(`${name}: want a URL such as http://localhost:9090, got "${text}"`);
  }
  return new URL(text);
}
