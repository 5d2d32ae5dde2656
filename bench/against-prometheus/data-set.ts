import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';

const BLOCK_MS = 2 * 3_600_000;
const INTERVAL_MS = 15_000;

/** The data covers `[startMs, endMs)`: a day, in blocks of two hours. */
export const startMs = Date.UTC(2024, 4, 1);
export const endMs = startMs + 12 * BLOCK_MS;

/** External label of the blocks; queriers take it for the name of a replica, so answers lack it. */
export const replicaLabel = { name: 'replica', value: 'a' };

const HANDLERS = 10;
const CODES = ['200', '404', '500', '503', '504'];
const BOUNDS = ['0.005', '0.01', '0.025', '0.05', '0.1', '0.25', '0.5', '1', '2.5', '+Inf'];

export interface DataSetSize {
  readonly series: number;
  readonly samples: number;
  readonly blocks: number;
}

/** A series and what tells its next value. */
interface Source {
  readonly labels: Labels;
  /** Milliseconds into the interval at which its target is scraped. */
  readonly offsetMs: number;
  next(): number;
}

/**
 * Writes about `counters` counters, half as many gauges and a few classic histograms, and returns
 * how much that came to. A tenth of the scrapes are some milliseconds off, counters restart now and
 * then, gauges have all digits. The same number gives the same data.
 */
export async function writeDataSet(directory: string, counters: number): Promise<DataSetSize> {
  const random = seededRandom(42);
  const sources = allSources(counters, random);
  let samples = 0;
  for (let start = startMs; start < endMs; start += BLOCK_MS) {
    const builder = new BlockBuilder();
    for (const source of sources) samples += fill(builder, source, start, random);
    await builder.write(nodeDisk, directory, {
      ulid: newUlid(start + BLOCK_MS, random),
      minTime: start,
      maxTime: start + BLOCK_MS,
      thanos: { ...emptyThanosMeta, labels: { [replicaLabel.name]: replicaLabel.value } },
    });
  }
  return { series: sources.length, samples, blocks: (endMs - startMs) / BLOCK_MS };
}

function fill(builder: BlockBuilder, source: Source, start: number, random: Random): number {
  const buffer = builder.samples(source.labels);
  for (let at = start + source.offsetMs; at < start + BLOCK_MS; at += INTERVAL_MS) {
    const late = random.next() < 0.1 ? randomInteger(random, 1, 20) : 0;
    buffer.pushFloat(at + late, source.next());
  }
  return buffer.length;
}

function allSources(counters: number, random: Random): Source[] {
  const perInstance = HANDLERS * CODES.length;
  const instances = Math.max(1, Math.round(counters / perInstance));
  return Array.from({ length: instances }, (_, i) => {
    const target = { job: `job-${i % 5}`, instance: `10.0.${i >> 8}.${i & 255}:9090` };
    const offsetMs = randomInteger(random, 1, INTERVAL_MS - 30);
    const sourceOf = (name: string, labels: Record<string, string>, next: () => number) => ({
      labels: Labels.fromObject({ __name__: name, ...target, ...labels }),
      offsetMs,
      next,
    });
    const requests = Array.from({ length: perInstance }, (_unused, k) =>
      sourceOf(
        'http_requests_total',
        { handler: `/api/v1/${k % HANDLERS}`, code: CODES[Math.floor(k / HANDLERS)]! },
        counter(random),
      ),
    );
    const memory = Array.from({ length: perInstance / 2 }, (_unused, k) =>
      sourceOf('memory_usage_bytes', { area: `area-${k}` }, gauge(random)),
    );
    return [...requests, ...memory, ...(i % 2 === 0 ? histogram(sourceOf, random) : [])];
  }).flat();
}

function counter(random: Random): () => number {
  const pace = randomInteger(random, 1, 200);
  let total = 0;
  return () => {
    total = random.next() < 0.0005 ? 0 : total + randomInteger(random, 0, pace);
    return total;
  };
}

function gauge(random: Random): () => number {
  let level = random.next() * 1e9;
  return () => (level *= 0.995 + random.next() * 0.01);
}

type SourceOf = (name: string, labels: Record<string, string>, next: () => number) => Source;

/** Every bucket replays the same observations and counts those up to its bound. */
function histogram(sourceOf: SourceOf, random: Random): Source[] {
  const seed = randomInteger(random, 0, 1e9);
  return BOUNDS.map((le, bucket) => {
    const observations = seededRandom(seed);
    let total = 0;
    return sourceOf('request_duration_seconds_bucket', { le }, () => {
      for (let i = 0; i < BOUNDS.length; i++) {
        const more = randomInteger(observations, 0, 6);
        if (i <= bucket) total += more;
      }
      return total;
    });
  });
}
