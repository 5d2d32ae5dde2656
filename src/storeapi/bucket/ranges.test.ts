import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coalesce } from './ranges.ts';

test('coalesce() joins near ranges and keeps far ones apart', () => {
  const ranges = [
    { start: 0, end: 10 },
    { start: 12, end: 20 },
    { start: 15, end: 18 },
    { start: 100, end: 110 },
  ];
  assert.deepEqual(coalesce(ranges, 5), [
    { start: 0, end: 20, from: 0, to: 3 },
    { start: 100, end: 110, from: 3, to: 4 },
  ]);
});

test('coalesce() does not let a read grow over its bound', () => {
  const ranges = Array.from({ length: 4 }, (_, i) => ({ start: i * 10, end: i * 10 + 10 }));
  assert.deepEqual(
    coalesce(ranges, 5, 20).map(({ start, end }) => [start, end]),
    [
      [0, 20],
      [20, 40],
    ],
  );
});
