import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ChunkEncoding, decodeChunk } from './chunk.ts';
import type { TimedChunk } from './chunk.ts';
import { encodeSamples } from './chunk-encoder.ts';
import { withoutRanges } from './cut-chunk.ts';
import { joinIntervals } from './tombstones.ts';

function chunkOf(length: number, startTimes = false): TimedChunk {
  const samples = new SampleBuffer();
  for (let i = 0; i < length; i++) {
    samples.pushFloat(i * 10, i);
    if (startTimes) samples.setStartTime(i, 1);
  }
  return encodeSamples(samples, { startTimes })[0]!;
}

function timesOf(chunks: readonly TimedChunk[]): number[] {
  return chunks.flatMap((chunk) => {
    const samples = new SampleBuffer();
    decodeChunk(chunk, -1e9, 1e9, samples);
    const times = [...samples.times.subarray(0, samples.length)];
    assert.deepEqual([times[0], times.at(-1)], [chunk.mint, chunk.maxt]);
    return times;
  });
}

test('what is left of a chunk are the samples outside of the deleted ranges', () => {
  const chunk = chunkOf(100);
  const interval = fc
    .tuple(fc.integer({ min: -20, max: 1020 }), fc.nat({ max: 400 }))
    .map(([mint, length]) => ({ mint, maxt: mint + length }));
  fc.assert(
    fc.property(fc.array(interval, { maxLength: 4 }), (intervals) => {
      const deleted = joinIntervals(intervals);
      const expected = timesOf([chunk]).filter(
        (time) => !deleted.some(({ mint, maxt }) => time >= mint && time <= maxt),
      );
      assert.deepEqual(timesOf(withoutRanges(chunk, deleted)), expected);
    }),
  );
});

test('a chunk of which nothing is deleted stays as it is', () => {
  const chunk = chunkOf(3, true);
  assert.equal(chunk.encoding, ChunkEncoding.Xor2);
  assert.equal(withoutRanges(chunk, [{ mint: 21, maxt: 90 }])[0], chunk);
  assert.deepEqual(withoutRanges(chunk, [{ mint: 0, maxt: 20 }]), []);
});
