import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookbacks } from './lookback.ts';

const MINUTE = 60_000;

test('lookbacks() takes the next resolution that is enough, as Thanos does', () => {
  const resolutions = [0, 5 * MINUTE, 24 * MINUTE, 60 * MINUTE, 300 * MINUTE];
  const of = (lookback: number, dynamic: boolean) =>
    resolutions.map((resolution) => lookbacks(lookback * MINUTE, dynamic)(resolution) / MINUTE);
  assert.deepEqual(of(5, true), [5, 5, 60, 60, 60]);
  assert.deepEqual(of(1, true), [1, 5, 60, 60, 60]);
  assert.deepEqual(of(90, true), [90, 90, 90, 90, 90]);
  assert.deepEqual(of(5, false), [5, 5, 5, 5, 5]);
});
