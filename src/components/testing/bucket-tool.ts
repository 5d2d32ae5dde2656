import { uploadBlock } from '#/blocks/upload-block.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import type { BlockMeta, ThanosMeta } from '#/tsdb/block-meta.ts';
import { plainProgress } from '../tools-bucket.ts';

export const never = new AbortController().signal;
export const HOUR_MS = 3_600_000;
/** When the first blocks begin: 2023-11-15, at midnight. */
export const START_MS = 1_700_006_400_000;

interface SampleBlock {
  /** Which two hours after the start. */
  readonly slot: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly thanos?: Partial<ThanosMeta>;
  /** `up{instance="0"}` and so on. Default 3. */
  readonly series?: number;
  /** Lets blocks of one slot have different ULIDs. */
  readonly seed?: number;
}

/** A tool's surroundings in memory: a bucket, and everything that it writes. */
export function bucketToolInMemory() {
  const clock = new ManualClock(START_MS + 100 * HOUR_MS);
  const disk = new MemoryDisk({ clock });
  const bucket = new MemoryBucket({ clock });
  const log = new MemoryLog();
  const output: string[] = [];
  const tool = {
    clock,
    disk,
    bucket,
    log,
    random: seededRandom(1),
    net: new MemoryNet(),
    metrics: new Metrics(),
    probe: new Probe(),
    signal: never,
    write: (text: string) => void output.push(text),
    progress: plainProgress(log),
  };
  return {
    tool,
    clock,
    disk,
    bucket,
    log,
    text: () => output.join(''),
    /** Writes a real block of two hours to the disk and uploads it; returns its meta as uploaded. */
    addBlock: async (sample: SampleBlock): Promise<BlockMeta> => {
      const meta = await writeRealBlock(disk, '/blocks', sample);
      return uploadBlock({ disk, clock, bucket, directory: `/blocks/${meta.ulid}`, signal: never });
    },
  };
}

/** A block of two hours with a sample a minute in every series, below `directory`. */
export async function writeRealBlock(
  disk: MemoryDisk,
  directory: string,
  { slot, labels = { cluster: 'a' }, thanos = {}, series = 3, seed = 1 }: SampleBlock,
): Promise<BlockMeta> {
  const builder = new BlockBuilder();
  const start = START_MS + slot * 2 * HOUR_MS;
  for (let i = 0; i < series; i++) {
    const samples = builder.samples(
      Labels.fromObject({ __name__: i % 2 === 0 ? 'up' : 'down', instance: String(i) }),
    );
    for (let at = start; at < start + 2 * HOUR_MS; at += 60_000) samples.pushFloat(at, at % 1000);
  }
  return builder.write(disk, directory, {
    ulid: newUlid(start, seededRandom(seed)),
    minTime: start,
    maxTime: start + 2 * HOUR_MS,
    thanos: {
      labels,
      downsample: { resolution: 0 },
      source: 'sidecar',
      segmentFiles: [],
      files: [],
      rewrites: [],
      indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
      uploadTime: '',
      ...thanos,
    },
  });
}
