import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BitReader } from './bit-reader.ts';
import { BitWriter } from './bit-writer.ts';

/** As many small numbers as large ones. */
const whole = fc
  .tuple(fc.maxSafeInteger(), fc.nat(52))
  .map(([value, shift]) => Math.trunc(value / 2 ** shift) + 0);

test('numbers of variable width come back, of every width and sign', () => {
  const edges = [3, 6, 9, 12, 18, 25].flatMap((width) =>
    [-1, 0, 1].flatMap((by) => [2 ** (width - 1) + by, -(2 ** (width - 1)) + by]),
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(whole, fc.constantFrom(...edges))), (values) => {
      const writer = new BitWriter(8);
      for (const value of values) {
        writer.varbitInt(value);
        writer.varbitUint(Math.abs(value));
      }
      const reader = new BitReader(writer.toBytes(), 0);
      for (const value of values) {
        assert.equal(reader.varbitInt(), value);
        assert.equal(reader.varbitUint(), Math.abs(value));
      }
    }),
  );
});
