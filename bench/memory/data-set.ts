import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels, compareLabels } from '#/model/labels.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { symbolsOf } from '#/tsdb/block-builder.ts';
import { BlockWriter } from '#/tsdb/block-writer.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';

const DAY_MS = 86_400_000;
const BLOCK_MS = 28 * DAY_MS;
const BLOCKS = 13;
/** Sparse, so that a year of a million series is a few gigabytes. */
const INTERVAL_MS = DAY_MS / 2;
const METRICS = 200;
/** Series share the courses of their values, so that encoding them does not take all the time. */
const COURSES = 64;

/** The data covers `[startMs, endMs)`: a year, in blocks of four weeks. */
export const startMs = Date.UTC(2024, 0, 1);
export const endMs = startMs + BLOCKS * BLOCK_MS;
export const intervalMs = INTERVAL_MS;

/** External label of the blocks. */
const replica = { replica: 'a' };

/** Writes `count` series over a year: 200 metrics of as many instances as that takes. */
export async function writeDataSet(directory: string, count: number): Promise<number> {
  const series = allSeries(count);
  const symbols = symbolsOf(series);
  const random = seededRandom(1);
  for (let start = startMs; start < endMs; start += BLOCK_MS) {
    const courses = Array.from({ length: COURSES }, () =>
      course(start, randomInteger(random, 1, 1000)),
    );
    const ulid = newUlid(start + BLOCK_MS, random);
    await using writer = await BlockWriter.open(
      {
        ulid,
        minTime: start,
        maxTime: start + BLOCK_MS,
        compaction: {
          level: 4,
          sources: [ulid],
          deletable: false,
          parents: [],
          failed: false,
          hints: [],
        },
        thanos: { ...emptyThanosMeta, labels: replica },
      },
      { disk: nodeDisk, directory, symbols },
    );
    for (const [i, labels] of series.entries()) {
      await writer.addSeries(labels, courses[i % COURSES]!);
    }
    await writer.finish();
  }
  return series.length;
}

function allSeries(count: number): Labels[] {
  const instances = Math.ceil(count / METRICS);
  const series: Labels[] = [];
  for (let metric = 0; metric < METRICS; metric++) {
    for (let i = 0; i < instances; i++) {
      const labels = {
        __name__: `metric_${String(metric).padStart(3, '0')}_total`,
        instance: `10.${i >> 8}.${i & 255}.7:9100`,
        job: `job-${i % 10}`,
        zone: `zone-${i % 3}`,
      };
      series.push(Labels.fromObject(labels));
    }
  }
  return series.sort(compareLabels);
}

function course(start: number, pace: number): TimedChunk[] {
  const samples = new SampleBuffer();
  for (let time = start; time < start + BLOCK_MS; time += INTERVAL_MS) {
    samples.pushFloat(time, ((time - startMs) / 1000) * pace);
  }
  return encodeSamples(samples, {});
}
