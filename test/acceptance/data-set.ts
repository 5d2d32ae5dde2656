import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { FilesystemBucket } from '#/objstore/filesystem.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { hash } from './hash.ts';
import { DAY_MS, HOUR_MS, START_MS } from './scale.ts';
import type { Scale } from './scale.ts';
import { madeSeries } from './series.ts';
import { REPLICAS, World } from './world.ts';

const BLOCK_MS = 2 * HOUR_MS;

/** What was written. */
export interface Written {
  readonly blocks: number;
  readonly samples: number;
  readonly bytes: number;
}

export interface DataSetOptions {
  readonly scale: Scale;
  /** Which days of it, `[from, to)`; default all. */
  readonly days?: readonly [from: number, to: number];
  /** Becomes the bucket. */
  readonly bucket: string;
  /** For blocks in the making. */
  readonly scratch: string;
}

/** Fills a bucket with the blocks of two hours that the sidecars of two replicas upload. */
export async function writeDataSet(options: DataSetOptions): Promise<Written> {
  const { scale, days = [0, scale.days], scratch } = options;
  const disk = nodeDisk;
  const random = seededRandom(1);
  const bucket = new FilesystemBucket(options.bucket, { disk, clock: systemClock, random });
  const series = madeSeries(new World(scale));
  const signal = new AbortController().signal;
  const written = { blocks: 0, samples: 0, bytes: 0 };
  const [from, to] = days.map((day) => START_MS + day * DAY_MS) as [number, number];
  for (let minTime = from; minTime < to; minTime += BLOCK_MS) {
    for (const replica of REPLICAS) {
      const maxTime = minTime + BLOCK_MS;
      const builder = new BlockBuilder();
      for (const one of series) {
        one.append(replica, { from: minTime, to: maxTime }, builder.samples(one.labels));
      }
      const ulid = newUlid(maxTime, seededRandom(hash(`${replica} ${minTime}`)));
      const labels = { cluster: 'acceptance', replica };
      const thanos = { ...emptyThanosMeta, labels, source: 'sidecar' };
      await builder.write(disk, scratch, { ulid, minTime, maxTime, thanos });
      const directory = join(scratch, ulid);
      const meta = await uploadBlock({ disk, clock: systemClock, bucket, directory, signal });
      await rm(directory, { recursive: true });
      written.blocks++;
      written.samples += meta.stats.numSamples;
      for (const { sizeBytes } of meta.thanos!.files) written.bytes += sizeBytes;
    }
  }
  return written;
}
