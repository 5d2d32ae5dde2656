import { uploadBlock } from '#/blocks/upload-block.ts';
import { systemClock } from '#/lib/clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { systemRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';

const HOUR_MS = 3_600_000;
export const STEP_MS = 15_000;
/** The hours that the base blocks cover, two a block. */
export const HOURS = 6;
const BASE_SERIES = 100;
const ROUND_SERIES = 10;

/** Three blocks that are there from the beginning, under the external label `round="base"`. */
export async function uploadBase(bucket: Bucket, provider: string): Promise<void> {
  for (let hour = 0; hour < HOURS; hour += 2) {
    await upload(bucket, { provider, round: 'base' }, BASE_SERIES, hour, 0);
  }
}

/** A block that comes while the storm blows; every value of round `n` is `n` more. */
export async function uploadRound(bucket: Bucket, provider: string, n: number): Promise<void> {
  await upload(bucket, { provider, round: String(n) }, ROUND_SERIES, 0, n);
}

/** The sum of a round's series at the end of the first hour. */
export function roundSum(n: number): number {
  let sum = 0;
  for (let i = 0; i < ROUND_SERIES; i++) sum += valueAt(i, HOUR_MS) + n;
  return sum;
}

function valueAt(series: number, timeMs: number): number {
  return series * 1000 + timeMs / STEP_MS;
}

async function upload(
  bucket: Bucket,
  labels: Readonly<Record<string, string>>,
  series: number,
  hour: number,
  more: number,
): Promise<void> {
  const disk = new MemoryDisk();
  const builder = new BlockBuilder();
  const [minTime, maxTime] = [hour * HOUR_MS, (hour + 2) * HOUR_MS];
  for (let i = 0; i < series; i++) {
    const samples = builder.samples(
      Labels.fromObject({
        __name__: 'm_total',
        id: String(i),
        parity: i % 2 === 0 ? 'even' : 'odd',
      }),
    );
    for (let time = minTime; time < maxTime; time += STEP_MS) {
      samples.pushFloat(time, valueAt(i, time) + more);
    }
  }
  const ulid = newUlid(maxTime, systemRandom);
  const thanos = {
    labels,
    downsample: { resolution: 0 },
    source: 'test',
    segmentFiles: ['000001'],
    files: [],
    rewrites: [],
    indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
    uploadTime: '',
  };
  await builder.write(disk, '/blocks', { ulid, minTime, maxTime, thanos });
  const signal = new AbortController().signal;
  await uploadBlock({ disk, clock: systemClock, bucket, directory: `/blocks/${ulid}`, signal });
}
