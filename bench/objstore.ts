import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { systemRandom } from '#/lib/random.ts';
import { openBucket } from '#/objstore/open.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { patterned } from '../src/objstore/testing/bucket-suite.ts';
import { places } from './objstore/places.ts';
import type { BareCalls, Place } from './objstore/places.ts';

/*
 * What object storage costs this process: milliseconds of CPU for a range read of 16 KiB, and
 * MB/s of an upload and a download of 256 MiB, for each provider, beside its library's bare calls.
 * The servers run in other processes. `npm run bench -- objstore [s3-light|s3-radosgw|gcs|azure …]`.
 */

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const RANGE_BYTES = 16 * KIBIBYTE;
const LARGE_BYTES = 256 * MEBIBYTE;
const PIECE_BYTES = MEBIBYTE;
const WARM_UP = 300;
const READS = 1500;
const AT_ONCE = 8;
const ROUNDS = 3;

interface Calls {
  readonly range: (offset: number) => Promise<void>;
  readonly upload: () => Promise<void>;
  readonly download: () => Promise<void>;
}

const large = Buffer.from(patterned(LARGE_BYTES).buffer);

for (const [key, start] of Object.entries(places)) {
  if (process.argv.length > 2 && !process.argv.includes(key)) continue;
  await using place = await start();
  if (place === undefined) {
    process.stdout.write(
      `${key}: left out, its server is not installed (sh bin/setup --servers)\n`,
    );
    continue;
  }
  await using bucket = await openPlace(place);
  await bucket.upload('small', large.subarray(0, 4 * MEBIBYTE));
  const ours: Calls = {
    async range(offset) {
      checkLength(await bucket.read('small', { offset, length: RANGE_BYTES }), RANGE_BYTES);
    },
    upload: () => bucket.upload('large', pieces()),
    download: () => drain(bucket.readStream('large')),
  };
  using calls = place.bare();
  const theirs = bareCalls(calls);
  process.stdout.write(`${place.name} (ours | ${calls.library})\n`);
  report(
    ['ms of CPU per 16 KiB range'],
    await alternately(ours.range, theirs.range, rangeCpuMs, ROUNDS),
  );
  const upload = await alternately(ours.upload, theirs.upload, transfer, place.rounds);
  report(['MB/s of a 256 MiB upload', 'its s of CPU'], upload);
  const download = await alternately(ours.download, theirs.download, transfer, place.rounds);
  report(['MB/s of a 256 MiB download', 'its s of CPU'], download);
}

function openPlace({ config, environment }: Place) {
  return openBucket(
    { source: 'bench', text: JSON.stringify(config) },
    {
      disk: nodeDisk,
      clock: systemClock,
      random: systemRandom,
      log: new MemoryLog(),
      metrics: new Metrics(),
      environment,
    },
  );
}

function bareCalls(calls: BareCalls): Calls {
  return {
    async range(offset) {
      const parts: Uint8Array[] = [];
      const stream = await calls.read('small', { offset, length: RANGE_BYTES });
      for await (const piece of stream) parts.push(piece as Uint8Array);
      checkLength(Buffer.concat(parts), RANGE_BYTES);
    },
    upload: async () => void (await calls.upload('large', large)),
    download: async () => drain(await calls.read('large')),
  };
}

/** Figures of ours and of theirs: the medians of rounds that take turns on a noisy machine. */
async function alternately<Call>(
  ours: Call,
  theirs: Call,
  measure: (call: Call) => Promise<readonly number[]>,
  times: number,
): Promise<readonly (readonly [number, number])[]> {
  const rounds: (readonly (readonly number[])[])[] = [];
  for (let i = 0; i < times; i++) rounds.push([await measure(ours), await measure(theirs)]);
  const figures = rounds[0]![0]!.keys();
  const of = (side: number, figure: number) => median(rounds.map((round) => round[side]![figure]!));
  return Array.from(figures, (figure) => [of(0, figure), of(1, figure)] as const);
}

async function rangeCpuMs(read: (offset: number) => Promise<void>): Promise<readonly number[]> {
  await readMany(read, WARM_UP);
  const before = process.cpuUsage();
  await readMany(read, READS);
  return [(cpuSeconds(before) * 1000) / READS];
}

async function readMany(read: (offset: number) => Promise<void>, count: number): Promise<void> {
  let left = count;
  const reader = async () => {
    while (left-- > 0) await read(((left * 7919) % 240) * RANGE_BYTES);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, reader));
}

/** MB/s, and seconds of CPU. */
async function transfer(work: () => Promise<void>): Promise<readonly number[]> {
  const before = process.cpuUsage();
  const start = performance.now();
  await work();
  return [LARGE_BYTES / 1000 / (performance.now() - start), cpuSeconds(before)];
}

function cpuSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

async function* pieces(): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < large.length; at += PIECE_BYTES) {
    yield large.subarray(at, at + PIECE_BYTES);
    await Promise.resolve();
  }
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  let length = 0;
  for await (const piece of stream) length += (piece as Uint8Array).length;
  if (length !== LARGE_BYTES) throw new Error(`read ${length} bytes, want ${LARGE_BYTES}`);
}

function checkLength(bytes: Uint8Array, want: number): void {
  if (bytes.length !== want) throw new Error(`read ${bytes.length} bytes, want ${want}`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function report(what: readonly string[], figures: readonly (readonly [number, number])[]): void {
  for (const [i, [ours, theirs]] of figures.entries()) {
    process.stdout.write(`  ${what[i]}: ${ours.toPrecision(3)} | ${theirs.toPrecision(3)}\n`);
  }
}
