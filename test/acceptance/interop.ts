import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startProcess } from '#/components/child-process.ts';
import { readAggregateChunk } from '#/downsample/aggregate-chunk.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Block } from '#/tsdb/block.ts';
import { ChunkEncoding, decodeChunk } from '#/tsdb/chunk.ts';
import type { EncodedChunk, TimedChunk } from '#/tsdb/chunk.ts';
import { streamSeries } from '#/tsdb/series-stream.ts';
import { eventually, freePort, getJson } from '../support/servers.ts';
import { startStoreAndQuery } from '../support/hindsight.ts';
import { askAll, differenceOf } from './answers.ts';
import { checkBlocks, metasOf } from './check-blocks.ts';
import { writeDataSet } from './data-set.ts';
import { panel } from './panel.ts';
import { compact, filesystemConfig, hindsight, thanos } from './programs.ts';
import { HOUR_MS, START_MS } from './scale.ts';
import type { Scale } from './scale.ts';

export interface InteropAcceptance {
  readonly scale: Scale;
  /** Takes the buckets; what an earlier run left in it is removed. */
  readonly directory: string;
  readonly print: (line: string) => void;
}

/**
 * A bucket that two compactors share, one for the first half of the days and the other for the rest, ends
 * with the same samples in the same blocks whoever comes first, and Thanos's store gateway answers from
 * it what ours does. Returns what was not as it should be.
 */
export async function acceptInterop(options: InteropAcceptance): Promise<string[]> {
  if (thanos === undefined) throw new Error('HINDSIGHT_THANOS does not say where a thanos is');
  const { directory, print } = options;
  await rm(directory, { recursive: true, force: true });
  const orders = [
    { name: 'ours alone', programs: [hindsight, hindsight] },
    { name: 'ours, then Thanos', programs: [hindsight, thanos] },
    { name: 'Thanos, then ours', programs: [thanos, hindsight] },
  ] as const;
  const problems: string[] = [];
  let wanted: ReadonlyMap<string, string> | undefined;
  for (const { name, programs } of orders) {
    const place = join(directory, name.replaceAll(/\W+/g, '-'));
    const contents = await compactInTurns(place, programs, options);
    wanted ??= contents;
    const found = differences(wanted, contents);
    print(
      `${name}: ${contents.size} blocks, ${contents.size - found.length} with the same samples`,
    );
    problems.push(...found.map((problem) => `${name}: ${problem}`));
    const issues = await checkBlocks(join(place, 'data'), print);
    problems.push(...issues.map((problem) => `${name}: ${problem}`));
    problems.push(...(await compareStores(thanos, place, options)));
  }
  return problems;
}

async function compactInTurns(
  place: string,
  programs: readonly [string, string],
  { scale, directory, print }: InteropAcceptance,
): Promise<Map<string, string>> {
  const half = Math.ceil(scale.days / 2);
  const halves = [
    [0, half],
    [half, scale.days],
  ] as const;
  const bucket = join(place, 'data');
  for (const [i, days] of halves.entries()) {
    await writeDataSet({ scale, days, bucket, scratch: join(directory, 'scratch') });
    const begun = performance.now();
    await compact(programs[i]!, { bucket, workplace: join(place, `compact-${i}`) });
    const seconds = (performance.now() - begun) / 1000;
    const who = programs[i] === hindsight ? 'ours' : 'Thanos';
    print(`  days ${days.join(' to ')} by ${who} in ${seconds.toFixed(1)} s`);
  }
  return contentsOf(bucket);
}

/** A hash of the samples of each block, by its labels, range and resolution. */
async function contentsOf(bucket: string): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  for (const { ulid, minTime, maxTime, thanos: own } of await metasOf(bucket)) {
    const block = await Block.open(nodeDisk, join(bucket, ulid));
    const hash = createHash('sha256');
    for await (const batch of streamSeries(block)) {
      for (const { labels, chunks } of batch) {
        hash.update(labels.key);
        for (const chunk of chunks) addSamples(chunk, hash);
      }
    }
    const hours = [minTime, maxTime].map((time) => (time - START_MS) / HOUR_MS);
    const { replica } = own!.labels;
    const key = `replica ${replica}, hours ${hours.join(' to ')}, ${own!.downsample.resolution} ms`;
    contents.set(key, contents.has(key) ? 'there twice' : hash.digest('hex'));
  }
  return contents;
}

function addSamples(chunk: TimedChunk, hash: ReturnType<typeof createHash>): void {
  const parts: readonly (EncodedChunk | undefined)[] =
    chunk.encoding === ChunkEncoding.Aggregate
      ? Object.values(readAggregateChunk(chunk.data))
      : [chunk];
  for (const part of parts) {
    if (part === undefined) continue;
    const samples = new SampleBuffer();
    decodeChunk(part, Number.NEGATIVE_INFINITY, Infinity, samples);
    const { times, halves, histograms, length } = samples;
    hash.update(times.subarray(0, length)).update(halves.subarray(0, 2 * length));
    for (const histogram of histograms ?? []) {
      if (histogram === undefined) continue;
      const { counterReset: _hint, positiveBuckets, negativeBuckets, ...rest } = histogram;
      hash.update(JSON.stringify([rest, [...positiveBuckets], [...negativeBuckets]]));
    }
  }
}

function differences(
  want: ReadonlyMap<string, string>,
  got: ReadonlyMap<string, string>,
): string[] {
  return [...new Set([...want.keys(), ...got.keys()])]
    .filter((key) => want.get(key) !== got.get(key))
    .map((key) => {
      if (!got.has(key)) return `no block of ${key}`;
      return want.has(key) ? `other samples in the block of ${key}` : `a block of ${key} too many`;
    });
}

/** Our querier answers the same before Thanos's store gateway as before ours. */
async function compareStores(
  program: string,
  place: string,
  { scale, print }: InteropAcceptance,
): Promise<string[]> {
  const questions = panel(scale);
  const flags = ['--query.replica-label=replica'];
  await using ours = await startStoreAndQuery({ directory: place, queryFlags: flags });
  const wanted = await askAll(ours.url, questions);
  const [grpc, http, asked] = await Promise.all([freePort(), freePort(), freePort()]);
  await using _store = await startProcess({
    command: program,
    args: [
      'store',
      `--objstore.config=${filesystemConfig(join(place, 'data'))}`,
      `--data-dir=${join(place, 'thanos-store')}`,
      `--grpc-address=127.0.0.1:${grpc}`,
      `--http-address=127.0.0.1:${http}`,
      '--ignore-deletion-marks-delay=0s',
    ],
    readyUrl: `http://127.0.0.1:${http}/-/ready`,
  });
  const url = `http://127.0.0.1:${asked}`;
  await using _query = await startProcess({
    command: hindsight,
    args: [
      'query',
      `--http-address=127.0.0.1:${asked}`,
      `--grpc-address=127.0.0.1:${await freePort()}`,
      `--endpoint=127.0.0.1:${grpc}`,
      ...flags,
    ],
    readyUrl: `${url}/-/ready`,
  });
  await eventually('the querier sees the store', async () => {
    const { data } = (await getJson(`${url}/api/v1/labels`)) as { data: string[] };
    return data.length > 0 ? data : undefined;
  });
  const found = await askAll(url, questions);
  const apart = questions
    .map((question, i) => differenceOf(question, wanted[i]!, found[i]!))
    .filter((difference) => difference !== undefined);
  print(`  ${questions.length - apart.length} answers are the same before Thanos's store gateway`);
  return apart.map(({ expression, first }) => `before Thanos's store: ${expression}: ${first}`);
}
