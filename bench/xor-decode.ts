/**
 * How long decoding a float sample takes, by the shape of the series, in nanoseconds a sample.
 * Run: `npx node bench/xor-decode.ts`.
 */
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';

const SAMPLES = 240_000;
const ROUNDS = 15;

const random = seededRandom(1);
let counter = 0;
const shapes = {
  'jittered counter': () => (counter += randomInteger(random, 0, 100)),
  'noisy gauge': () => 50 + random.next() * 10,
  constant: () => 42,
};

for (const [name, next] of Object.entries(shapes)) {
  const chunks = chunksOf(next, name === 'jittered counter' ? 20 : 0);
  const nanoseconds = Array.from({ length: ROUNDS }, () => measure(chunks));
  const median = nanoseconds.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
  process.stdout.write(`${name}: ${median.toFixed(1)} ns a sample\n`);
}

function chunksOf(next: () => number, jitterMs: number): TimedChunk[] {
  const samples = new SampleBuffer(SAMPLES);
  for (let i = 0; i < SAMPLES; i++) {
    const jitter = jitterMs === 0 ? 0 : randomInteger(random, -jitterMs, jitterMs);
    samples.pushFloat(1.7e12 + i * 15_000 + jitter, next());
  }
  return encodeSamples(samples);
}

function measure(chunks: readonly TimedChunk[]): number {
  const buffer = new SampleBuffer(8192);
  const start = performance.now();
  for (let i = 0; i < chunks.length; i++) {
    // As a selector does: a day of one series, then the next.
    if (i % 48 === 0) buffer.clear();
    decodeChunk(chunks[i]!, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, buffer);
  }
  return ((performance.now() - start) * 1e6) / SAMPLES;
}
