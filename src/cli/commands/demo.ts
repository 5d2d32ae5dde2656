import { resolve } from 'node:path';
import { BUCKETS, runDemo } from '#/components/demo.ts';
import { command, openRuntime } from '../command.ts';
import { globalFlags } from '../common-flags.ts';
import { readConfig } from '../config-text.ts';
import { configFlags, configSource, flag } from '../flags.ts';

const repository = resolve(import.meta.dirname, '../../..');

const flags = {
  ...globalFlags,
  check: flag.toggle({ help: 'Check the answers and end, instead of running on.', default: false }),
  bucket: flag.oneOf(BUCKETS, {
    help: 'Where the bucket lies: a directory, or a server of that protocol, which the demo starts.',
    default: 'filesystem',
  }),
  ...configFlags('objstore.config', { help: 'A bucket of your own in its place, as in Thanos.' }),
  prometheus: flag.text({
    help: 'The Prometheus to run, as a path; none for history only. Default: the newest that is found.',
    default: '',
  }),
  'data-dir': flag.text({
    help: 'Where everything of the demo lies; emptied first.',
    default: resolve(repository, '.data/demo'),
  }),
  days: flag.integer({ help: 'Days of history to write.', default: '30' }),
};

export const demoCommand = command(
  {
    name: 'demo',
    summary: 'Runs the whole path on this machine: two replicas, a bucket, a month of history.',
    flags,
    planned: [],
  },
  (values, _positionals, signal) => {
    const own = configSource(values['objstore.config'], values['objstore.config-file']);
    const runtime = openRuntime({ 'log.level': 'error', 'log.format': 'logfmt' }, signal);
    const config = {
      directory: resolve(values['data-dir']),
      hindsight: resolve(repository, 'bin/hindsight'),
      prometheus: values.prometheus,
      programDirectories: [resolve(repository, '.servers/prometheus-3/usr/bin')],
      check: values.check,
      bucket: values.bucket,
      objstore: own === undefined ? undefined : readConfig(own, 'expand'),
      bucketServer: resolve(repository, 'test/support/serve-bucket.ts'),
      historyDays: values.days,
      write: (text: string) => void process.stdout.write(text),
      isTerminal: process.stdout.isTTY,
    };
    return runDemo(config, runtime);
  },
);
