import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatGoDuration } from './time.ts';

test('durations are printed as Go prints them', () => {
  const texts = {
    '0s': 0,
    '791ns': 0.000791,
    '231.225µs': 0.231225,
    '1.25ms': 1.25,
    '500ms': 500,
    '1.5s': 1500,
    '1m0.000001s': 60_000.001,
    '1h59m0.001s': 7_140_001,
    '-38h0m0s': -136_800_000,
  };
  for (const [text, ms] of Object.entries(texts)) assert.equal(formatGoDuration(ms), text);
});
