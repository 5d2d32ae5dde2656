/**
 * How fast a block on the local disk is brought to 5 minutes and that one to an hour, by the shape of its
 * series: nanoseconds of the processor for each sample that goes in, the first run in a process of its
 * own, and that process's peak of memory, of which Node alone takes some 90 MB.
 * Run: `npx node bench/downsample.ts [days]`, 14 of them unless given.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { LocalBlockWork } from '#/compact/block-work.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { CounterReset } from '#/model/histogram.ts';
import { Labels } from '#/model/labels.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';

const START_MS = 1_699_488_000_000;
const random = seededRandom(1);

/** Appends a sample at a time; the index is that of the sample. */
type Shape = (samples: SampleBuffer, time: number, index: number) => void;

let total = 0;
const buckets = new Float64Array(12);
const shapes: { readonly [name: string]: readonly [intervalMs: number, series: number, Shape] } = {
  counter: [
    15_000,
    150,
    (samples, time) => samples.pushFloat(time, (total += randomInteger(random, 0, 100))),
  ],
  gauge: [
    15_000,
    150,
    (samples, time) =>
      samples.pushFloat(time + randomInteger(random, -5, 5), 50 + 10 * random.next()),
  ],
  constant: [15_000, 150, (samples, time) => samples.pushFloat(time, 42)],
  'native histogram': [60_000, 50, pushHistogram],
};

/** What one process does: it writes a raw block of so many days, or downsamples one. */
interface Step {
  readonly name: string;
  readonly directory: string;
  readonly days?: number;
  readonly meta?: BlockMeta;
  readonly toMs?: number;
}

const [argument = '14'] = process.argv.slice(2);
if (process.send === undefined) await compareShapes(Number(argument));
else await perform(JSON.parse(argument) as Step);

async function compareShapes(days: number): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'hindsight-bench-'));
  try {
    for (const name of Object.keys(shapes)) {
      const directory = join(root, name);
      const raw = await inProcess({ name, directory, days });
      const fine = await inProcess({ name, directory, meta: raw, toMs: Resolution.FiveMinutes });
      await inProcess({ name, directory, meta: fine, toMs: Resolution.OneHour });
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** A child's peak of memory begins at its parent's, so this one stays small. */
async function inProcess(step: Step): Promise<BlockMeta> {
  const child = fork(import.meta.filename, [JSON.stringify(step)]);
  const exit = once(child, 'exit');
  const [meta] = (await Promise.race([once(child, 'message'), exit])) as [BlockMeta];
  const [code] = (await exit) as [number];
  if (code !== 0) throw new Error(`${step.name}: the process ended with ${code}`);
  return meta;
}

async function perform({ name, directory, days = 0, meta, toMs = 0 }: Step): Promise<void> {
  const made =
    meta === undefined
      ? await writeBlock(directory, name, days)
      : await downsample({ name, directory, meta, toMs });
  process.send?.(made);
  process.disconnect?.();
}

async function downsample({
  name,
  directory,
  meta,
  toMs,
}: Required<Omit<Step, 'days'>>): Promise<BlockMeta> {
  const input = join(directory, meta.ulid);
  const ulid = newUlid(START_MS + toMs, random);
  const start = process.cpuUsage();
  const made = await new LocalBlockWork(nodeDisk).downsample(
    { input, ulid, toMs, directory },
    new AbortController().signal,
  );
  const { user, system } = process.cpuUsage(start);
  const { numSamples } = meta.stats;
  const nanoseconds = ((user + system) * 1000) / numSamples;
  const peak = process.resourceUsage().maxRSS / 1000;
  process.stdout.write(
    `${name} to ${toMs / 60_000} m: ${nanoseconds.toFixed(1)} ns a sample of ${(numSamples / 1e6).toFixed(1)} M, peak ${peak.toFixed(0)} MB\n`,
  );
  return made;
}

async function writeBlock(directory: string, name: string, days: number): Promise<BlockMeta> {
  const [intervalMs, series, push] = shapes[name]!;
  const builder = new BlockBuilder();
  const maxTime = START_MS + days * 86_400_000;
  for (let i = 0; i < series; i++) {
    const samples = builder.samples(Labels.fromObject({ __name__: 'metric', series: `${i}` }));
    for (let time = START_MS + 7 * i, k = 0; time + 10 < maxTime; time += intervalMs, k++) {
      push(samples, time, k);
    }
  }
  const thanos = { ...emptyThanosMeta, labels: { cluster: name } };
  const ulid = newUlid(START_MS, random);
  return builder.write(nodeDisk, directory, { ulid, minTime: START_MS, maxTime, thanos });
}

function pushHistogram(samples: SampleBuffer, time: number, index: number): void {
  if (index % 2000 === 0) buckets.fill(0);
  for (let i = 0; i < buckets.length; i++) buckets[i]! += randomInteger(random, 0, 3);
  samples.pushHistogram(time, {
    counterReset: CounterReset.Unknown,
    schema: 3,
    zeroThreshold: 0.001,
    zeroCount: 0,
    count: buckets.reduce((a, b) => a + b, 0),
    sum: index,
    positiveSpans: [
      { offset: 0, length: 8 },
      { offset: 3, length: 4 },
    ],
    positiveBuckets: buckets.slice(),
    negativeSpans: [],
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
  });
}
