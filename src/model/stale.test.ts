import assert from 'node:assert/strict';
import { test } from 'node:test';
import { halvesOf, isStale, isStaleNaN, setStale, staleNaN } from './stale.ts';

test('the stale marker is known by its bits, made quiet or not', () => {
  const column = Float64Array.of(0, Number.NaN, 1);
  const halves = halvesOf(column);
  setStale(halves, 0);
  assert.deepEqual(
    [0, 1, 2].map((i) => isStale(halves, i)),
    [true, false, false],
  );
  halves[1]! |= 0x00080000;
  assert.ok(isStale(halves, 0));
  assert.ok(isStaleNaN(column[0]!));
  assert.ok(!isStaleNaN(Number.NaN));
});

test('the stale marker stays known through fields, columns and calls, however often', () => {
  const column = new Float64Array(1);
  for (let i = 0; i < 20_000; i++) {
    const object = { count: i, sum: staleNaN() };
    column[0] = object.sum;
    assert.ok(isStaleNaN(column[0]));
  }
});
