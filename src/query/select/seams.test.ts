import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Resolution } from '#/tsdb/block-meta.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { joinResolutions } from './seams.ts';
import { resolutionOf } from './resolution.ts';

const HOUR = 3_600_000;
const everything = { mint: 0, maxt: 1000 * HOUR };

/** A count lane with a sample at the end of each window of `[from, to)`, in hours. */
function windows(from: number, to: number, resolutionMs: number) {
  const ends = new SampleBuffer();
  for (let end = from * HOUR + resolutionMs; end <= to * HOUR; end += resolutionMs) {
    ends.pushFloat(end - 1, 10);
  }
  const [count] = encodeSamples(ends);
  return { mint: count!.mint, maxt: count!.maxt, count: count! };
}

const fiveMinutes = (from: number, to: number) => windows(from, to, Resolution.FiveMinutes);
const hours = (from: number, to: number) => windows(from, to, Resolution.OneHour);
const raw = (from: number, to: number) => ({
  mint: from * HOUR,
  maxt: to * HOUR - 1,
  raw: { encoding: 1, data: new Uint8Array(0) },
});

function ranges(chunks: Parameters<typeof joinResolutions>[0], asked = everything) {
  return joinResolutions(chunks, asked).map((chunk) => {
    const cut = chunk.isCut === undefined ? '' : ' cut';
    return `${resolutionOf(chunk) / 60_000}m ${chunk.mint / HOUR} ${(chunk.maxt + 1) / HOUR}${cut}`;
  });
}

test('the resolution of a chunk follows from its windows', () => {
  assert.equal(resolutionOf(raw(0, 2)), 0);
  assert.equal(resolutionOf(fiveMinutes(0, 2)), Resolution.FiveMinutes);
  assert.equal(resolutionOf(hours(3, 40)), Resolution.OneHour);
  assert.equal(resolutionOf(windows(0, 1, Resolution.FiveMinutes)), Resolution.FiveMinutes);
});

test('chunks of one resolution stay as they are', () => {
  const chunks = [fiveMinutes(0, 2), fiveMinutes(1, 3)];
  assert.equal(joinResolutions(chunks, everything), chunks);
});

test('a coarse chunk that finer data covers is left out', () => {
  assert.deepEqual(ranges([raw(0, 2), fiveMinutes(0, 4), raw(2, 4)]), ['0m 0 2', '0m 2 4']);
  const first = { mint: 1 * HOUR, maxt: 3 * HOUR };
  assert.deepEqual(ranges([fiveMinutes(0, 4), raw(1, 3)], first), ['0m 1 3']);
});

test('finer data is cut around a coarse chunk that it does not cover', () => {
  const [coarse, before, after] = ranges([raw(0, 3), fiveMinutes(2, 6), raw(5, 8)]).toSorted();
  assert.equal(before, '0m 6 8 cut');
  assert.equal(coarse, '0m 0 2 cut');
  assert.match(after!, /^5m 2\.08\d* 6$/);
});
