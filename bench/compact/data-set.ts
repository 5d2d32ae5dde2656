import { join } from 'node:path';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { FilesystemBucket } from '#/objstore/filesystem.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';

const HOUR_MS = 3_600_000;
const BLOCK_MS = 2 * HOUR_MS;
/** Where blocks of two days begin. */
const START_MS = 1_699_488_000_000;
/** Two days, and the block after them, which compactors leave alone. */
const BLOCKS = 25;
const INTERVAL_MS = 15_000;
/** Replicas scrape at different moments. */
const PHASE_MS = 6000;

export interface DataSet {
  readonly series: number;
  /** External labels of the Prometheus servers whose blocks these are. */
  readonly servers: readonly Readonly<Record<string, string>>[];
}

/** Writes two days of 2 h blocks into a directory as a bucket; returns how many samples these are. */
export async function writeBucket(directory: string, { series, servers }: DataSet) {
  const random = seededRandom(7);
  const effects = { disk: nodeDisk, clock: systemClock, random };
  const bucket = new FilesystemBucket(join(directory, 'bucket'), effects);
  const made = join(directory, 'made');
  let samples = 0;
  for (const [server, labels] of servers.entries()) {
    const values = new Float64Array(series);
    for (let block = 0; block < BLOCKS; block++) {
      const minTime = START_MS + block * BLOCK_MS;
      const builder = blockOf(values, minTime, minTime + server * PHASE_MS, random);
      const ulid = newUlid(minTime + BLOCK_MS + server, random);
      const thanos = { ...emptyThanosMeta, labels };
      const maxTime = minTime + BLOCK_MS;
      const meta = await builder.write(nodeDisk, made, { ulid, minTime, maxTime, thanos });
      samples += meta.stats.numSamples;
      await uploadBlock({
        ...effects,
        bucket,
        directory: join(made, ulid),
        signal: new AbortController().signal,
      });
    }
  }
  await nodeDisk.remove(made);
  return samples;
}

/** Counters, gauges, rarely moving counters and constants, with a dozen labels each. */
function blockOf(
  values: Float64Array,
  minTime: number,
  from: number,
  random: Random,
): BlockBuilder {
  const builder = new BlockBuilder();
  for (let i = 0; i < values.length; i++) {
    const samples = builder.samples(labelsOf(i));
    const phase = (i * 37) % (INTERVAL_MS - PHASE_MS);
    for (let time = from + phase; time < minTime + BLOCK_MS; time += INTERVAL_MS) {
      if (i % 5 < 2) values[i]! += randomInteger(random, 0, 50);
      else if (i % 5 === 2) values[i] = 100 * random.next();
      else if (i % 5 === 3 && randomInteger(random, 0, 6) === 0) values[i]!++;
      samples.pushFloat(time, values[i]!);
    }
  }
  return builder;
}

function labelsOf(i: number): Labels {
  return Labels.fromObject({
    __name__: `service_${Math.floor(i / 100)}_requests_total`,
    container: `main-${i % 3}`,
    endpoint: 'http',
    instance: `10.0.${i % 7}.${i % 50}:9100`,
    job: `job-${i % 9}`,
    method: ['GET', 'POST', 'PUT'][i % 3]!,
    namespace: `ns-${i % 13}`,
    node: `ip-10-0-${i % 20}.internal`,
    pod: `app-${i % 50}-7d9f8c6b5-x${i % 97}`,
    region: 'eu-central-1',
    service: `svc-${i % 11}`,
    shelf: `${i}`,
    status: ['200', '404', '500', '503'][i % 4]!,
  });
}
