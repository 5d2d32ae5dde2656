import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bytesText,
  countText,
  durationText,
  labelsText,
  relativeTime,
  timeText,
} from './figures.ts';

test('figures are short and have a unit', () => {
  assert.deepEqual([0, 999, 1000, 1536, 12.34 * 2 ** 30, 3.1e15].map(bytesText), [
    '0 B',
    '999 B',
    '0.977 KiB',
    '1.5 KiB',
    '12.3 GiB',
    '2.75 PiB',
  ]);
  const second = 1000;
  assert.deepEqual(
    [0, 59 * second, 61 * second, 3600 * second, 90_061 * second, 1e12].map(durationText),
    ['0 s', '59 s', '1 min 1 s', '1 h', '1 d 1 h', '11574 d 1 h'],
  );
  assert.equal(countText(1, 'series', 'series'), '1 series');
  assert.equal(countText(12_000, 'block'), '12,000 blocks');
});

test('times that no calendar has are told, not thrown', () => {
  assert.equal(timeText(0), '1970-01-01 00:00 UTC');
  assert.equal(timeText(-(2 ** 63)), 'outside of time');
  assert.match(relativeTime(60_000, 0).text, />in 1 min</);
  assert.match(relativeTime(0, 60_000).text, />1 min ago</);
  assert.match(relativeTime(undefined, 0).text, /never/);
});

test('labels are written as in a selector', () => {
  assert.equal(labelsText({ a: 'x"y', b: '1' }), String.raw`{a="x\"y", b="1"}`);
});
