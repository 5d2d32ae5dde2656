import { resolve } from 'node:path';
import { runPromql, runPromqltest } from '#/components/tools.ts';
import type { PromqlConfig, QueryTimes, ToolEnvironment } from '#/components/tools.ts';
import { parseSecondsOrDuration, parseTime } from '#/http/params.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import { nodeNet } from '#/lib/net.ts';
import { stableEngineFeatures } from '#/promql/engine.ts';
import { command } from '../command.ts';
import { flag } from '../flags.ts';
import type { FlagValues } from '../flags.ts';
import { workersOf } from './shared.ts';

const flags = {
  'tsdb.path': flag.text({
    help: 'promql: a directory with blocks; what is only in a write-ahead log is not read.',
    default: '',
  }),
  url: flag.text({
    help: 'promql: ask a Prometheus-compatible API instead, at http://host:port.',
    default: '',
  }),
  time: flag.text({
    help: 'promql: when to evaluate, in seconds or RFC 3339. Default: now.',
    default: '',
  }),
  start: flag.text({ help: 'promql: the first step of a range query.', default: '' }),
  end: flag.text({ help: 'promql: its end. Default: now.', default: '' }),
  step: flag.text({
    help: 'promql: its step, in seconds or as a duration. Default: 60 steps.',
    default: '',
  }),
  explain: flag.toggle({
    help: 'promql: print how the query would be evaluated, instead of its answer.',
    default: false,
  }),
  analyze: flag.toggle({
    help: 'promql: print what every operator did and how long it took, instead of the answer.',
    default: false,
  }),
  output: flag.oneOf(['table', 'json', 'sparkline'], {
    help: 'promql: how the answer is printed.',
    default: 'table',
  }),
  'query.lookback-delta': flag.duration({
    help: 'promql: how long a sample counts when no newer one comes.',
    default: '5m',
  }),
  'store-sources': flag.integer({
    help: 'promqltest: spread the samples over so many StoreAPI services; 0 reads them in memory.',
    default: '0',
  }),
  workers: flag.integer({
    help: 'Threads that evaluate large queries (promqltest: all) over --tsdb.path or, in promqltest, StoreAPI services.',
    default: '0',
  }),
};

type Values = FlagValues<typeof flags>;

/** The language with everything experimental that leaves other queries as they are. */
const features = {
  ...stableEngineFeatures,
  experimentalFunctions: true,
  extendedRangeSelectors: true,
  fillModifiers: true,
};

const USAGE = 'use: tools promql [flags] QUERY, or tools promqltest FILE…';

export const toolsCommand = command(
  {
    name: 'tools',
    summary:
      "Evaluates a query (promql QUERY) or runs Prometheus's PromQL scripts (promqltest FILE…).",
    flags,
    planned: [],
  },
  (values, [tool, ...args], signal) => {
    const environment: ToolEnvironment = {
      clock: systemClock,
      disk: nodeDisk,
      net: nodeNet,
      signal,
      write: (text) => void process.stdout.write(text),
    };
    switch (tool) {
      case 'promql':
        return runPromql(promqlConfig(values, args), environment);
      case 'promqltest':
        return runPromqltest(
          {
            paths: args.map((path) => resolve(path)),
            storeSources: storeSourcesOf(values),
            workers: workersOf('--workers', values.workers),
          },
          environment,
        );
      default:
        throw new BadInputError(tool === undefined ? USAGE : `unknown tool "${tool}"; ${USAGE}`);
    }
  },
);

function storeSourcesOf({ 'store-sources': count }: Values): number {
  if (count < 0) throw new BadInputError(`--store-sources: must not be negative, got ${count}`);
  return count;
}

function promqlConfig(values: Values, args: readonly string[]): PromqlConfig {
  const [query, ...more] = args;
  if (query === undefined || more.length > 0) {
    throw new BadInputError(`promql: expected one query, got ${args.length}; put it in quotes`);
  }
  return {
    query,
    times: timesOf(values, systemClock.now()),
    source: sourceOf(values),
    wanted: wantedOf(values),
    output: values.output,
    lookbackMs: values['query.lookback-delta'],
    features,
    workers: workersOf('--workers', values.workers),
  };
}

function wantedOf({ explain, analyze }: Values): PromqlConfig['wanted'] {
  if (explain && analyze) throw new BadInputError('--explain and --analyze exclude each other');
  if (explain) return 'explain';
  return analyze ? 'analyze' : 'answer';
}

function sourceOf({ url, 'tsdb.path': path }: Values): PromqlConfig['source'] {
  if ((url === '') === (path === '')) {
    throw new BadInputError('promql: expected one of --tsdb.path and --url');
  }
  return url === '' ? { directory: resolve(path) } : { url };
}

function timesOf({ time, start, end, step }: Values, nowMs: number): QueryTimes {
  if (start === '') {
    if (end !== '' || step !== '') throw new BadInputError('--end and --step need a --start');
    const timeMs = time === '' ? nowMs : named('--time', () => parseTime(time));
    return { startMs: timeMs, endMs: timeMs, stepMs: undefined };
  }
  if (time !== '') throw new BadInputError('--time and --start exclude each other; give one');
  const startMs = named('--start', () => parseTime(start));
  const endMs = end === '' ? nowMs : named('--end', () => parseTime(end));
  if (endMs < startMs) throw new BadInputError('--end: must not be before --start');
  const stepMs =
    step === ''
      ? Math.max(1000, Math.floor((endMs - startMs) / 60_000) * 1000)
      : named('--step', () => parseSecondsOrDuration(step));
  if (stepMs <= 0) throw new BadInputError(`--step: must be more than 0, got ${step}`);
  return { startMs, endMs, stepMs };
}

/** Adds to the message of a `BadInputError` which flag it is about. */
function named<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (thrown) {
    if (!(thrown instanceof BadInputError)) throw thrown;
    throw new BadInputError(`${name}: ${thrown.message}`, { cause: thrown });
  }
}
