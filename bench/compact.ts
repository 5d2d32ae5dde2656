/**
 * How fast blocks on the local disk are merged and downsampled: samples a second of the processor, and
 * the peak of memory. Two days at 15 s a series, in blocks of two hours, become blocks of eight hours,
 * then one of two days, then that one's 5 minutes.
 * Run: `npx node bench/compact.ts [series]`, 1,000 of them unless given.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { LocalBlockWork } from '#/compact/block-work.ts';
import { mergedIdentity } from '#/compact/merged-meta.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';

const SERIES = Number(process.argv[2] ?? 1000);
const HOUR_MS = 3_600_000;
const START_MS = 1_699_488_000_000;
const INTERVAL_MS = 15_000;
const signal = new AbortController().signal;
const random = seededRandom(1);
const thanos = { ...emptyThanosMeta, labels: { cluster: 'a' } };

const directory = await mkdtemp(join(tmpdir(), 'hindsight-bench-'));
const work = new LocalBlockWork(nodeDisk);
try {
  const small: BlockMeta[] = [];
  for (let hour = 0; hour < 48; hour += 2) small.push(await writeBlock(START_MS + hour * HOUR_MS));
  const middle: BlockMeta[] = [];
  const samples = 48 * (HOUR_MS / INTERVAL_MS) * SERIES;
  await measure('2 h to 8 h', samples, async () => {
    for (let i = 0; i < small.length; i += 4) middle.push(await merge(small.slice(i, i + 4)));
  });
  let large: BlockMeta | undefined;
  await measure('8 h to 2 d', samples, async () => {
    large = await merge(middle);
  });
  await measure('raw to 5 m', samples, async () => {
    const input = join(directory, large!.ulid);
    const ulid = newUlid(START_MS, random);
    await work.downsample({ input, ulid, toMs: Resolution.FiveMinutes, directory }, signal);
  });
  const { maxRSS } = process.resourceUsage();
  process.stdout.write(`peak resident memory ${(maxRSS / 1000).toFixed(0)} MB\n`);
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function merge(inputs: readonly BlockMeta[]): Promise<BlockMeta> {
  const identity = mergedIdentity(newUlid(START_MS, random), inputs, thanos);
  const { meta } = await work.merge(
    {
      inputs: inputs.map(({ ulid }) => join(directory, ulid)),
      identity,
      algorithm: 'chain',
      directory,
    },
    signal,
  );
  return meta!;
}

async function measure(what: string, samples: number, run: () => Promise<void>): Promise<void> {
  const start = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(start);
  const seconds = (user + system) / 1e6;
  const perSecond = samples / seconds / 1e6;
  process.stdout.write(
    `${what}  ${seconds.toFixed(2).padStart(6)} s of the processor  ${perSecond.toFixed(1).padStart(6)} M samples/s\n`,
  );
}

async function writeBlock(minTime: number): Promise<BlockMeta> {
  const maxTime = minTime + 2 * HOUR_MS;
  const builder = new BlockBuilder();
  for (let i = 0; i < SERIES; i++) {
    const samples = builder.samples(
      Labels.fromObject({ __name__: 'requests_total', instance: `host-${i % 50}`, shelf: `${i}` }),
    );
    let value = minTime / 1000;
    for (let time = minTime + i; time < maxTime; time += INTERVAL_MS) {
      samples.pushFloat(time, (value += randomInteger(random, 0, 9)));
    }
  }
  const ulid = newUlid(minTime, random);
  return builder.write(nodeDisk, directory, { ulid, minTime, maxTime, thanos });
}
