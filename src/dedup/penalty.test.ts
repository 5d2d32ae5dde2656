import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { mergePenalty } from './penalty.ts';

/** Steps between the samples of a replica, with gaps. */
const steps = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(900)), {
  maxLength: 30,
});
const replicas = fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), steps), {
  minLength: 1,
  maxLength: 6,
});

test('penalty merges columns of floats to what it makes sample by sample', () => {
  fc.assert(
    fc.property(replicas, (all) => {
      const floats = all.map(([start, distances], i) => buffer(1000 * start, distances, i));
      // Start timestamps are not merged in columns.
      const started = all.map(([start, distances], i) => buffer(1000 * start, distances, i));
      for (const one of started) if (one.length > 0) one.setStartTime(0, 1);
      const [columns, samples] = [new SampleBuffer(1), new SampleBuffer(1)];
      mergePenalty(floats, false, columns);
      mergePenalty(started, false, samples);
      assert.deepEqual(contents(columns), contents(samples));
    }),
  );
});

function buffer(start: number, distances: readonly number[], replica: number): SampleBuffer {
  const samples = new SampleBuffer(4);
  let time = start;
  for (const [i, distance] of distances.entries()) {
    samples.pushFloat((time += 500 * distance), 100 * replica + i);
  }
  return samples;
}

function contents({ times, values, length }: SampleBuffer): readonly number[][] {
  return Array.from({ length }, (_, i) => [times[i]!, values[i]!]);
}
