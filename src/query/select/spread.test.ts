import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import { spreadTotals } from './spread.ts';

test('spreadTotals() gives totals that never fall', () => {
  const growth = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1000, noNaN: true })), {
    minLength: 2,
    maxLength: 20,
  });
  fc.assert(
    fc.property(growth, fc.integer({ min: 15_000, max: 150_000 }), (grown, spacingMs) => {
      const totals = new SampleBuffer();
      let total = 0;
      for (const [i, more] of grown.entries()) {
        total += more;
        totals.pushFloat((i + 1) * Resolution.FiveMinutes - 1, total);
      }
      const spread = new SampleBuffer();
      const spreading = { resolutionMs: Resolution.FiveMinutes, spacingMs };
      spreadTotals(totals, 0, spreading, { mint: 0, maxt: Number.MAX_SAFE_INTEGER }, spread);
      for (let i = 1; i < spread.length; i++) {
        assert.ok(spread.values[i]! >= spread.values[i - 1]!, `${spread.values[i]} at ${i}`);
      }
    }),
  );
});
