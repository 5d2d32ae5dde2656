import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openValue, sealValue } from './frame.ts';

const value = fc.uint8Array({ maxLength: 2000 });

test('a frame opens to what was sealed, for its key alone', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), value, fc.nat(), (key, other, bytes, expires) => {
      const frame = sealValue(key, bytes, expires);
      const opened = openValue(key, frame);
      assert.deepEqual(opened?.value, bytes);
      assert.equal(opened.expiresMs, expires);
      if (other !== key) assert.equal(openValue(other, frame), undefined);
    }),
  );
});

test('a frame of which a bit is flipped or an end is cut off or added is none', () => {
  fc.assert(
    fc.property(value, fc.nat(), fc.nat(7), (bytes, position, bit) => {
      const frame = sealValue('key', bytes, 1);
      const at = position % frame.length;
      assert.equal(openValue('key', frame.subarray(0, at)), undefined);
      assert.equal(openValue('key', Buffer.concat([frame, new Uint8Array(1)])), undefined);
      frame[at]! ^= 1 << bit;
      assert.equal(openValue('key', frame), undefined);
    }),
  );
});

test('random bytes are no frame', () => {
  fc.assert(fc.property(value, (bytes) => openValue('key', bytes) === undefined));
});
