import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptionError } from '#/lib/errors.ts';
import { readAggregateChunk } from './aggregate-chunk.ts';

test('lanes come in their order, and absent ones are left out', () => {
  const chunk = Uint8Array.of(2, 1, 10, 11, 0, 0, 1, 1, 12, 3, 3, 13, 14, 15);
  assert.deepEqual(readAggregateChunk(chunk), {
    count: { encoding: 1, data: Uint8Array.of(10, 11) },
    max: { encoding: 1, data: Uint8Array.of(12) },
    counter: { encoding: 3, data: Uint8Array.of(13, 14, 15) },
  });
});

test('a lane that runs past the chunk is damage', () => {
  assert.throws(() => readAggregateChunk(Uint8Array.of(9, 1, 10)), CorruptionError);
  assert.throws(() => readAggregateChunk(Uint8Array.of()), CorruptionError);
});
