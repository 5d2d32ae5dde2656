import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareUtf8 } from './utf8.ts';

test('compareUtf8() orders as the UTF-8 bytes do', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', 'é', '\ue000', '\uffff', '😀', '𐀀', '\ud7ff'),
  });
  fc.assert(
    fc.property(text, text, (a, b) => {
      assert.equal(Math.sign(compareUtf8(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
});
