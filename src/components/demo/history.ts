import { join } from 'node:path';
import type { Disk } from '#/lib/disk.ts';
import type { Random } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import type { ThanosMeta } from '#/tsdb/block-meta.ts';
import { isInGap, punchGaps } from './gaps.ts';
import type { Gap } from './gaps.ts';
import { instances, trueSeries } from './truth.ts';

/** What was written into the bucket. */
export interface History {
  /** Half-open range, in milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
  readonly intervalMs: number;
  readonly replicas: readonly ReplicaHistory[];
}

export interface ReplicaHistory {
  readonly name: string;
  /** Its samples lie at multiples of the interval plus this. */
  readonly phaseMs: number;
  readonly gaps: readonly Gap[];
}

export interface HistoryOptions {
  readonly disk: Disk;
  readonly random: Random;
  /** Where blocks are written before they go to the bucket. */
  readonly directory: string;
  readonly endMs: number;
  readonly days: number;
  readonly intervalMs: number;
  readonly replicas: readonly string[];
  /** External labels besides `replica`. */
  readonly cluster: string;
  /** Takes a finished block; its directory may be gone afterwards. */
  readonly upload: (directory: string) => Promise<void>;
  readonly onProgress: (share: number) => void;
}

const DAY_MS = 86_400_000;
/** As long as Thanos's compactor makes them before a block holds two weeks. */
const BLOCK_MS = 2 * DAY_MS;
const GAP_SHARE = 0.05;

/** Writes what each replica would have in the bucket by now, and loses 5 % of each by itself. */
export async function writeHistory(options: HistoryOptions): Promise<History> {
  const { random, endMs, intervalMs } = options;
  const startMs = endMs - options.days * DAY_MS;
  const replicas = options.replicas.map((name, i) => ({
    name,
    phaseMs: Math.round(
      (i * intervalMs) / options.replicas.length + 0.3 * intervalMs * random.next(),
    ),
    // The last hour is whole, so that the seam to the live data is about the seam alone.
    gaps: punchGaps(random, startMs, endMs - 3_600_000, GAP_SHARE),
  }));
  const history = { startMs, endMs, intervalMs, replicas };
  const blocks = blockRanges(startMs, endMs);
  let written = 0;
  for (const range of blocks) {
    for (const replica of replicas) {
      await writeBlock(options, history, replica, range);
      options.onProgress(++written / (blocks.length * replicas.length));
    }
  }
  return history;
}

interface TimeRange {
  readonly start: number;
  readonly end: number;
}

function blockRanges(startMs: number, endMs: number): TimeRange[] {
  const ranges: TimeRange[] = [];
  for (let start = startMs; start < endMs;) {
    const end = Math.min(endMs, Math.floor(start / BLOCK_MS + 1) * BLOCK_MS);
    ranges.push({ start, end });
    start = end;
  }
  return ranges;
}

async function writeBlock(
  { disk, directory, cluster, random, upload }: HistoryOptions,
  { intervalMs }: History,
  replica: ReplicaHistory,
  range: TimeRange,
): Promise<void> {
  const builder = new BlockBuilder();
  const times = sampleTimes(replica, range, intervalMs);
  for (const instance of instances) {
    const target = { job: 'demo', instance };
    fill(builder.samples(Labels.fromObject({ __name__: 'up', ...target })), times, () => 1);
    for (const { labels, valueAt } of trueSeries(instance)) {
      fill(builder.samples(Labels.fromObject({ ...labels.toObject(), ...target })), times, valueAt);
    }
  }
  const ulid = newUlid(range.end, random);
  const thanos: ThanosMeta = {
    labels: { cluster, replica: replica.name },
    downsample: { resolution: 0 },
    source: 'sidecar',
    segmentFiles: ['000001'],
    files: [],
    rewrites: [],
    indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
    uploadTime: '',
  };
  await builder.write(disk, directory, { ulid, minTime: range.start, maxTime: range.end, thanos });
  await upload(join(directory, ulid));
}

function sampleTimes(
  { phaseMs, gaps }: ReplicaHistory,
  { start, end }: TimeRange,
  intervalMs: number,
): number[] {
  const times: number[] = [];
  const first = Math.ceil((start - phaseMs) / intervalMs) * intervalMs + phaseMs;
  for (let time = first; time < end; time += intervalMs) if (!isInGap(gaps, time)) times.push(time);
  return times;
}

function fill(
  samples: SampleBuffer,
  times: readonly number[],
  valueAt: (timeMs: number) => number,
): void {
  samples.reserve(times.length);
  for (const time of times) samples.pushFloat(time, valueAt(time));
}
