import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CorruptionError } from '#/lib/errors.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { halvesOf } from '#/model/stale.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ChunkEncoding, chunkSampleCount, decodeChunk } from './chunk.ts';
import { encodeSamples, XorEncoder } from './chunk-encoder.ts';

const forever = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

/** Doubles by their bits: close to each other, special ones, and any at all. */
const bits = fc.oneof(
  fc.record({ high: fc.constant(0x40590000), low: fc.integer() }),
  fc.record({ high: fc.integer({ min: 0x40000000, max: 0x40000010 }), low: fc.constant(0) }),
  fc.constantFrom(
    { high: 0x7ff00000, low: 2 },
    { high: 0x7ff80000, low: 1 },
    { high: -0x80000, low: 0x1234567 },
    { high: -0x80000000, low: 0 },
    { high: 0, low: 0 },
  ),
  fc.record({ high: fc.integer(), low: fc.integer() }),
);
const step = fc.oneof(
  fc.constant(15_000),
  fc.integer({ min: 14_990, max: 15_010 }),
  fc.integer({ min: 1, max: 600_000 }),
  fc.integer({ min: 1, max: 2 ** 40 }),
);
const samples = fc.record({
  start: fc.integer({ min: -(2 ** 44), max: 2 ** 44 }),
  rows: fc.array(fc.record({ step, bits }), { minLength: 1, maxLength: 200 }),
});

function bufferOf({ start, rows }: { start: number; rows: { step: number; bits: Bits }[] }) {
  const buffer = new SampleBuffer();
  let time = start;
  for (const row of rows) {
    time += row.step;
    push(buffer, time, row.bits);
  }
  return buffer;
}

interface Bits {
  readonly high: number;
  readonly low: number;
}

function push(buffer: SampleBuffer, time: number, { high, low }: Bits): void {
  buffer.pushFloat(time, 0);
  buffer.halves[2 * buffer.length - 1] = high;
  buffer.halves[2 * buffer.length - 2] = low;
}

function columnsOf(buffer: SampleBuffer) {
  return {
    times: Array.from(buffer.times.subarray(0, buffer.length)),
    halves: Array.from(buffer.halves.subarray(0, 2 * buffer.length)),
  };
}

test('XOR chunks give back every sample, bit for bit', () => {
  fc.assert(
    fc.property(samples, (input) => {
      const want = bufferOf(input);
      const chunks = encodeSamples(want);
      const got = new SampleBuffer(1);
      for (const chunk of chunks) decodeChunk(chunk, ...forever, got);
      assert.deepEqual(columnsOf(got), columnsOf(want));
      assert.ok(chunks.every((chunk) => chunkSampleCount(chunk) <= 120));
      assert.equal(chunks[0]!.mint, want.times[0]);
      assert.equal(chunks.at(-1)!.maxt, want.times[want.length - 1]);
    }),
  );
});

test('XOR2 chunks give back every sample with its start time, bit for bit', () => {
  const startTime = fc.oneof(fc.constant(0), fc.constant(5000), fc.integer({ min: 1 }));
  fc.assert(
    fc.property(samples, fc.array(startTime, { maxLength: 200 }), (input, startTimes) => {
      const want = bufferOf(input);
      for (let i = 0; i < want.length; i++) want.setStartTime(i, startTimes[i] ?? 0);
      const chunks = encodeSamples(want, { startTimes: true, samplesPerChunk: 150 });
      const got = new SampleBuffer(1);
      for (const chunk of chunks) decodeChunk(chunk, ...forever, got);
      assert.deepEqual(columnsOf(got), columnsOf(want));
      for (let i = 0; i < want.length; i++) {
        assert.equal(got.startTimes?.[i] ?? 0, startTimes[i] ?? 0);
      }
    }),
  );
});

test('decoding a range gives exactly the samples in it', () => {
  fc.assert(
    fc.property(samples, fc.nat(200), fc.nat(200), (input, a, b) => {
      const all = bufferOf(input);
      const mint = all.times[Math.min(a, all.length - 1)]!;
      const maxt = all.times[Math.min(b, all.length - 1)]! + 1;
      const want = new SampleBuffer();
      for (let i = 0; i < all.length; i++) {
        if (all.times[i]! >= mint && all.times[i]! <= maxt) want.pushFrom(all, i);
      }
      const got = new SampleBuffer();
      for (const chunk of encodeSamples(all)) decodeChunk(chunk, mint, maxt, got);
      assert.deepEqual(columnsOf(got), columnsOf(want));
    }),
  );
});

test('samples may share a timestamp, as in the counters of downsampled chunks', () => {
  const times = Float64Array.of(5000, 5000, 5000);
  const data = new XorEncoder().encode(times, halvesOf(Float64Array.of(2, 4, 8)), 0, 3);
  const got = new SampleBuffer();
  decodeChunk({ encoding: ChunkEncoding.Xor, data }, ...forever, got);
  assert.deepEqual(Array.from(got.values.subarray(0, got.length)), [2, 4, 8]);
  assert.deepEqual(Array.from(got.times.subarray(0, got.length)), [5000, 5000, 5000]);
});

test('a chunk cut short anywhere is a CorruptionError', () => {
  const buffer = new SampleBuffer();
  for (let i = 0; i < 120; i++) buffer.pushFloat(i * 15_000 + (i % 7), Math.sin(i));
  const [chunk] = encodeSamples(buffer);
  for (let length = 0; length < chunk!.data.length; length++) {
    const short = { encoding: chunk!.encoding, data: chunk!.data.subarray(0, length) };
    assert.throws(() => decodeChunk(short, ...forever, new SampleBuffer()), CorruptionError);
  }
});

test('damaged bytes of any encoding give samples or a CorruptionError, nothing else', () => {
  const random = seededRandom(7);
  const buffer = new SampleBuffer();
  for (let i = 0; i < 100; i++) buffer.pushFloat(i * 15_000, i * 1.5);
  const [chunk] = encodeSamples(buffer);
  for (let round = 0; round < 6000; round++) {
    const data = chunk!.data.slice(0, randomInteger(random, 0, chunk!.data.length));
    for (let flips = randomInteger(random, 0, 8); flips > 0 && data.length > 0; flips--) {
      data[randomInteger(random, 0, data.length - 1)] = randomInteger(random, 0, 255);
    }
    const encoding = randomInteger(random, 0, 7);
    try {
      decodeChunk({ encoding, data }, ...forever, new SampleBuffer());
    } catch (thrown) {
      assert.ok(thrown instanceof CorruptionError, String(thrown));
    }
  }
});
