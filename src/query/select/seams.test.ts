import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Resolution } from '#/tsdb/block-meta.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { joinReplicas, joinResolutions } from './seams.ts';
import type { ChunkPart } from './seams.ts';
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
  return joinResolutions(chunks, asked).map(printed);
}

function printed(chunk: ChunkPart): string {
  const cut = chunk.isCut === undefined ? '' : ' cut';
  return `${resolutionOf(chunk) / 60_000}m ${chunk.mint / HOUR} ${(chunk.maxt + 1) / HOUR}${cut}`;
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

test('finer data that begin behind the first window, or end before the last, cover nothing', () => {
  const [first] = ranges([fiveMinutes(0, 4), raw(1 / 12, 4)]);
  assert.match(first!, /^5m/);
  const [second] = ranges([fiveMinutes(0, 4), raw(0, 4 - 1 / 12)]);
  assert.match(second!, /^5m/);
  assert.deepEqual(ranges([fiveMinutes(0, 4), raw(1 / 60, 4)]), [`0m ${1 / 60} 4`]);
});

test('windows of all replicas stand for the samples of each', () => {
  const joined = (replicas: Parameters<typeof joinReplicas>[0]) =>
    joinReplicas(replicas, everything).map((chunks) => chunks.map(printed));
  const [merged, a, b] = joined([[fiveMinutes(0, 4)], [raw(1, 6)], [raw(3, 4), raw(4, 6)]]);
  assert.match(merged!.join(), /^5m 0\.08\d* 4$/);
  assert.deepEqual(a, ['0m 4 6 cut']);
  assert.deepEqual(b, ['0m 4 6']);
  // Samples of several replicas may cover a window together.
  assert.deepEqual(joined([[fiveMinutes(0, 4)], [raw(0, 2)], [raw(2, 4)]]), [
    [],
    ['0m 0 2'],
    ['0m 2 4'],
  ]);
  // Of replicas that nobody has merged each has its own.
  assert.deepEqual(joined([[], [fiveMinutes(0, 4)], [raw(0, 3)]])[2], ['0m 0 3']);
});
