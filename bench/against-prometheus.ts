/**
 * Ten range queries over the same blocks, asked of a real Prometheus and of Hindsight in turns, as
 * ratios of latency and of peak memory; answers that differ are an error.
 * Run: `npm run bench [-- --series 10000] [--rounds 5] [--query TEXT] [--local] [--one-core]`.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findProgram, temporaryDirectory } from '../test/support/servers.ts';
import { ask } from './against-prometheus/ask.ts';
import { compareAnswers } from './against-prometheus/compare.ts';
import type { Comparison } from './against-prometheus/compare.ts';
import { endMs, startMs, writeDataSet } from './against-prometheus/data-set.ts';
import { MemoryWatch } from './against-prometheus/memory.ts';
import { queries, stepSeconds } from './against-prometheus/queries.ts';
import {
  pinToOneCore,
  startBlockServer,
  startComponents,
  startPrometheusSide,
} from './against-prometheus/servers.ts';
import type { Side } from './against-prometheus/servers.ts';

const { values: flags } = parseArgs({
  options: {
    /** Counters; gauges and histograms come on top. */
    series: { type: 'string', default: '1000' },
    /** Measured rounds a query, after one to warm up. */
    rounds: { type: 'string', default: '5' },
    /** Asks only the queries that contain this text. */
    query: { type: 'string', default: '' },
    /** Our engine over the blocks in one process, without a store gateway. */
    local: { type: 'boolean', default: false },
    'one-core': { type: 'boolean', default: false },
  },
});

interface Measured {
  readonly query: string;
  /** Median milliseconds. */
  readonly prometheus: number;
  readonly hindsight: number;
  readonly comparison: Comparison;
}

const binary = process.env['HINDSIGHT_PROMETHEUS'] ?? findProgram('prometheus');
if (binary === undefined) {
  print("bench: no prometheus on this machine; get it with 'sh bin/setup --servers'");
  process.exitCode = 1;
} else {
  await run(binary);
}

async function run(prometheusBinary: string): Promise<void> {
  await using open = new AsyncDisposableStack();
  const directory = open.use(await temporaryDirectory()).path;
  const size = await writeDataSet(join(directory, 'data'), Number(flags.series));
  print(
    `${size.series} series, ${(size.samples / 1e6).toFixed(1)} M samples in ${size.blocks} blocks; ` +
      `a day in steps of ${stepSeconds} s; ${flags['one-core'] ? 1 : availableParallelism()} cores`,
  );
  const prometheus = open.use(await startPrometheusSide(directory, prometheusBinary));
  const hindsight = open.use(
    await (flags.local ? startBlockServer(directory) : startComponents(directory)),
  );
  if (flags['one-core']) for (const side of [prometheus, hindsight]) await pinToOneCore(side);
  const memories = [prometheus, hindsight].map(({ pids }) => open.use(new MemoryWatch(pids)));
  print(`A: ${prometheus.name}\nB: ${hindsight.name}\n`);

  print(row(['A ms', 'B ms', 'A/B', 'answers', 'query']));
  const measured: Measured[] = [];
  for (const query of queries.filter((text) => text.includes(flags.query))) {
    const one = await measure(query, prometheus, hindsight);
    measured.push(one);
    const { verdict, detail, series } = one.comparison;
    const answers = verdict === 'different' ? 'DIFFERENT' : `${series} ${verdict} ${detail}`.trim();
    print(row([...timings(one.prometheus, one.hindsight), answers, query]));
  }
  const means = [
    geometricMean(measured.map((one) => one.prometheus)),
    geometricMean(measured.map((one) => one.hindsight)),
  ] as const;
  print(row([...timings(...means), '', '(geometric mean)']));

  const [ofPrometheus, ofHindsight] = await Promise.all(memories.map((memory) => memory.peak()));
  print('');
  for (const [kind, text] of [
    ['resident', 'peak resident memory, mapped files included'],
    ['anonymous', 'peak memory without mapped files'],
  ] as const) {
    const [a, b] = [ofPrometheus![kind] / 1e6, ofHindsight![kind] / 1e6];
    print(`${text}: A ${a.toFixed(0)} MB, B ${b.toFixed(0)} MB, B/A ${(b / a).toFixed(2)}`);
  }
  for (const { query, comparison } of measured) {
    if (comparison.verdict !== 'different') continue;
    process.exitCode = 1;
    print(`\nDIFFERENT: ${query}\n  ${comparison.detail}`);
  }
}

/** In turns, so that whatever else the machine does meets both. */
async function measure(query: string, prometheus: Side, hindsight: Side): Promise<Measured> {
  const params = new URLSearchParams({
    query,
    start: String(startMs / 1000 + 600),
    end: String(endMs / 1000),
    step: String(stepSeconds),
  });
  const urls = [prometheus, hindsight].map(
    ({ url }) => `${url}/api/v1/query_range?${params.toString()}`,
  );
  const first = { a: await ask(urls[0]!), b: await ask(urls[1]!) };
  const comparison = compareAnswers(first.a.body, first.b.body);
  const times = { a: [] as number[], b: [] as number[] };
  for (let round = 0; round < Number(flags.rounds); round++) {
    times.a.push((await ask(urls[0]!)).milliseconds);
    times.b.push((await ask(urls[1]!)).milliseconds);
  }
  return { query, prometheus: median(times.a), hindsight: median(times.b), comparison };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

function geometricMean(numbers: readonly number[]): number {
  return Math.exp(numbers.reduce((sum, one) => sum + Math.log(one), 0) / numbers.length);
}

function timings(a: number, b: number): string[] {
  return [a.toFixed(a < 10 ? 1 : 0), b.toFixed(b < 10 ? 1 : 0), (a / b).toFixed(2)];
}

function row([a = '', b = '', ratio = '', answers = '', query = '']: readonly string[]): string {
  return `${a.padStart(6)} ${b.padStart(6)} ${ratio.padStart(6)}  ${answers.padEnd(18)} ${query}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
