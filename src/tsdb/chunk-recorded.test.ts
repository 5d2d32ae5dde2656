import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { FloatHistogram } from '#/model/histogram.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ChunkEncoding, chunkSampleCount, decodeChunk } from './chunk.ts';
import type { TimedChunk } from './chunk.ts';
import { encodeSamples, toWireChunks } from './chunk-encoder.ts';

interface Recorded {
  readonly name: string;
  readonly chunks: readonly { encoding: number; mint: number; maxt: number; data: string }[];
  readonly startTimes?: readonly number[];
  readonly values?: readonly [seconds: number, value: string][];
  readonly histograms?: readonly [
    seconds: number,
    { readonly count: string; readonly sum: string; readonly counts: readonly string[] },
  ][];
}

/** See testdata/README.md. */
const plain = load('chunks-plain.json');
const newer = load('chunks-newer.json');
const withStartTimes = load('chunks-start-times.json');

for (const recorded of [...plain, ...newer, ...withStartTimes]) {
  const encodings = [...new Set(recorded.chunks.map(({ encoding }) => encoding))].join();
  test(`${recorded.name} in encoding ${encodings} reads as Prometheus reads it`, () => {
    const samples = decodeAll(chunksOf(recorded));
    const live = Array.from({ length: samples.length }, (_, i) => i).filter(
      (i) => !samples.isStaleAt(i),
    );
    const times = live.map((i) => samples.times[i]);
    const answers = recorded.values ?? recorded.histograms ?? [];
    assert.deepEqual(
      times,
      answers.map(([seconds]) => Math.round(seconds * 1000)),
    );
    for (const [k, [, value]] of (recorded.values ?? []).entries()) {
      assert.ok(Object.is(samples.values[live[k]!], Number(value.replace('Inf', 'Infinity'))));
    }
    for (const [k, [, want]] of (recorded.histograms ?? []).entries()) {
      const got = samples.histograms![live[k]!]!;
      assert.equal(got.count, Number(want.count));
      assert.equal(got.sum, Number(want.sum));
      assert.deepEqual(filledBuckets(got), want.counts.map(Number));
    }
  });
}

test('start timestamps are those that were sent', () => {
  for (const recorded of withStartTimes) {
    const samples = decodeAll(chunksOf(recorded));
    const got = Array.from({ length: samples.length }, (_, i) => samples.startTimes?.[i] ?? 0);
    assert.deepEqual(got, recorded.startTimes, recorded.name);
  }
});

test('newer encodings go over the wire as the chunks that Prometheus itself writes without them', () => {
  for (const [i, recorded] of newer.entries()) {
    const got = chunksOf(recorded).flatMap(toWireChunks);
    assert.deepEqual(got.map(printable), chunksOf(plain[i]!).map(printable), recorded.name);
  }
});

test('samples are written byte for byte as Prometheus writes them', () => {
  for (const recorded of plain) {
    const chunks = chunksOf(recorded);
    const got = encodeSamples(decodeAll(chunks), { floatHistograms: chunks[0]!.encoding === 3 });
    // A snapshot writes the open chunk of a head anew, without a flag.
    if (got.at(-1)!.encoding !== 1) got.at(-1)!.data[2] = 0;
    assert.deepEqual(got.map(printable), chunks.map(printable), recorded.name);
  }
});

test('start timestamps are written byte for byte as Prometheus writes them', () => {
  for (const recorded of [...newer, ...withStartTimes]) {
    const chunks = chunksOf(recorded);
    const got = encodeSamples(decodeAll(chunks), {
      floatHistograms: chunks[0]!.encoding === ChunkEncoding.FloatHistogramSt,
      startTimes: true,
      // A head cuts by bytes too.
      samplesPerChunk: Math.max(...chunks.map(chunkSampleCount)),
    });
    // As above.
    const last = got.at(-1)!;
    if (last.encoding !== ChunkEncoding.Xor2) last.data[0]! &= 0x3f;
    assert.deepEqual(got.map(printable), chunks.map(printable), recorded.name);
  }
});

test('recorded chunks cut short anywhere are CorruptionErrors', () => {
  for (const recorded of [...plain, ...newer, ...withStartTimes]) {
    for (const chunk of chunksOf(recorded)) {
      for (let length = 0; length < chunk.data.length; length += 5) {
        const short = { ...chunk, data: chunk.data.subarray(0, length) };
        assert.throws(() => decodeAll([short]), { name: 'CorruptionError' });
      }
    }
  }
});

function load(file: string): readonly Recorded[] {
  const path = join(import.meta.dirname, 'testdata', file);
  return (JSON.parse(readFileSync(path, 'utf8')) as { series: readonly Recorded[] }).series;
}

function chunksOf(recorded: Recorded): TimedChunk[] {
  return recorded.chunks.map((chunk) => ({
    ...chunk,
    data: new Uint8Array(Buffer.from(chunk.data, 'base64')),
  }));
}

function decodeAll(chunks: readonly TimedChunk[]): SampleBuffer {
  const samples = new SampleBuffer(1);
  for (const chunk of chunks) {
    const before = samples.length;
    decodeChunk(chunk, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, samples);
    assert.equal(samples.length - before, chunkSampleCount(chunk));
    assert.equal(samples.times[before], chunk.mint);
    assert.equal(samples.times[samples.length - 1], chunk.maxt);
  }
  return samples;
}

/** The counts of the buckets that are not empty, from the lowest to the highest. */
function filledBuckets(histogram: FloatHistogram): number[] {
  const { negativeBuckets, zeroCount, positiveBuckets } = histogram;
  return [...negativeBuckets.toReversed(), zeroCount, ...positiveBuckets].filter((n) => n !== 0);
}

function printable({ encoding, mint, maxt, data }: TimedChunk) {
  return { encoding, mint, maxt, data: Buffer.from(data).toString('hex') };
}
