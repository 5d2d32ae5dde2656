import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeDisk } from '#/lib/disk.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { seededRandom } from '#/lib/random.ts';
import { BlockQueryable } from '#/tsdb/block-queryable.ts';
import {
  findProgram,
  findPrometheus3,
  getJson,
  startPrometheus,
  temporaryDirectory,
} from '../support/servers.ts';
import { engineOver, prometheusAt, prometheusFlags } from './answers.ts';
import { writeBlocks } from './data-set.ts';
import { compareQuery } from './explain.ts';
import type { Sides } from './explain.ts';
import { minimise, textOf } from './query-tree.ts';
import { randomQuery, randomTimes } from './random-query.ts';
import { record } from './recording.ts';

/**
 * `npm run fuzz:promql -- --count N --seed S [--url URL] [--record FILE]`: random queries for our
 * engine and a Prometheus over the same blocks. It prints every difference without a known reason,
 * made as small as it goes, and ends with exit code 1 if there was one. `HINDSIGHT_PROMETHEUS` names
 * the program to start; the one behind `--url` must already serve the same blocks, which `--data`
 * writes. `--record` writes a fixture of queries with that Prometheus's answers instead.
 */
async function main(): Promise<number> {
  const options = readOptions();
  if (options.data !== undefined) {
    await writeBlocks(nodeDisk, options.data);
    return 0;
  }
  await using opened = new AsyncDisposableStack();
  const directory = opened.use(await temporaryDirectory()).path;
  const blocks = await writeBlocks(nodeDisk, join(directory, 'data'));
  const url = options.url ?? opened.use(await start(directory)).url;
  const theirs = prometheusAt(url);
  const version = await versionOf(url);
  if (options.record !== undefined) {
    const bytes = await record(options.record, { ...options, version, theirs });
    print(`${options.record}: ${options.count} queries, ${bytes} bytes`);
    return 0;
  }
  return await fuzz({ ours: engineOver(new BlockQueryable(blocks)), theirs, version }, options);
}

interface Options {
  readonly count: number;
  readonly seed: number;
  readonly url: string | undefined;
  readonly record: string | undefined;
  readonly data: string | undefined;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '1000' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      url: { type: 'string' },
      record: { type: 'string' },
      data: { type: 'string' },
    },
  });
  return {
    count: wholeNumber('--count', values.count),
    seed: wholeNumber('--seed', values.seed),
    url: values.url,
    record: values.record,
    data: values.data,
  };
}

function wholeNumber(flag: string, text: string): number {
  if (!/^\d+$/.test(text))
    throw new BadInputError(`${flag}: must be a whole number, got "${text}"`);
  return Number(text);
}

function start(directory: string) {
  const binary =
    process.env['HINDSIGHT_PROMETHEUS'] ?? findPrometheus3() ?? findProgram('prometheus');
  if (binary === undefined) {
    throw new BadInputError(
      "no prometheus here; get it with 'sh bin/setup --servers', or give --url or HINDSIGHT_PROMETHEUS",
    );
  }
  return startPrometheus({ binary, directory, flags: prometheusFlags });
}

async function versionOf(url: string): Promise<string> {
  const build = (await getJson(`${url}/api/v1/status/buildinfo`)) as { data: { version: string } };
  return build.data.version;
}

async function fuzz(sides: Sides, { count, seed }: Options): Promise<number> {
  print(`seed ${seed}, Prometheus ${sides.version}`);
  const reasons = new Map<string, number>();
  let unexplained = 0;
  for (let i = 0; i < count; i++) {
    // Every query has a seed of its own, so one can be repeated alone: --count 1 --seed <its seed>.
    const random = seededRandom(seed + i);
    const times = randomTimes(random);
    const query = randomQuery(random);
    const verdict = await compareQuery(sides, query, times);
    if (verdict.kind === 'explained') {
      reasons.set(verdict.reason, (reasons.get(verdict.reason) ?? 0) + 1);
    }
    if (verdict.kind === 'unexplained') {
      unexplained++;
      const smallest = await minimise(query, async (simpler) => {
        return (await compareQuery(sides, simpler, times)).kind === 'unexplained';
      });
      const text = textOf(smallest);
      const last = await compareQuery(sides, smallest, times);
      print(`\nseed ${seed + i}, times ${JSON.stringify(times)}\n  ${text}`);
      print(`  ${last.kind === 'unexplained' ? last.difference : verdict.difference}`);
    }
    if ((i + 1) % 500 === 0) print(`${i + 1} queries, ${unexplained} unexplained differences`);
  }
  for (const [reason, times] of reasons) print(`${times} explained: ${reason}`);
  const explained = [...reasons.values()].reduce((sum, times) => sum + times, 0);
  print(`${count} queries, ${explained} explained, ${unexplained} unexplained`);
  return unexplained > 0 ? 1 : 0;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

try {
  process.exitCode = await main();
} catch (thrown) {
  process.stderr.write(`fuzz:promql: ${messageOf(thrown)}\n`);
  process.exitCode = 2;
}
