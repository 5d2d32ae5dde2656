import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeStatusMessage, encodeStatusMessage } from '../status.ts';
import { MessageReader } from './message-reader.ts';
import { compressFramed, uncompressFramed } from './snappy-framed.ts';
import { formatTimeout, parseTimeout } from './timeout.ts';

const LIMIT = 1_000_000;

test('snappy frames give back what went in, also what does not shrink', () => {
  const repeated = fc
    .tuple(fc.uint8Array({ maxLength: 50 }), fc.nat(8000))
    .map(([piece, times]) => Buffer.concat(Array.from({ length: times }, () => piece)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 3000 }), repeated), (plain) => {
      const back = uncompressFramed(compressFramed(plain), LIMIT);
      assert.ok(back.equals(plain));
    }),
    { numRuns: 50 },
  );
});

test('a snappy stream with other bytes in it is refused', () => {
  const stream = compressFramed(Buffer.from('some text, some text, some text'));
  for (let i = 0; i < stream.length; i++) {
    const damaged = Buffer.from(stream);
    damaged[i]! ^= 0x04;
    assert.throws(() => uncompressFramed(damaged, LIMIT), { name: 'CorruptionError' }, `at ${i}`);
  }
});

test('a snappy stream is not unpacked past the limit', () => {
  const stream = compressFramed(Buffer.alloc(LIMIT + 1));
  assert.throws(() => uncompressFramed(stream, LIMIT), { name: 'LimitError' });
});

test('messages come out whole however their bytes are cut', () => {
  const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 });
  fc.assert(
    fc.property(bodies, fc.integer({ min: 1, max: 50 }), (messages, step) => {
      const stream = Buffer.concat(messages.map((body) => framed(body)));
      const reader = new MessageReader(undefined, LIMIT);
      const got: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += step) {
        reader.push(stream.subarray(at, at + step), got);
      }
      assert.deepEqual(
        got.map((body) => Buffer.from(body).toString('hex')),
        messages.map((body) => Buffer.from(body).toString('hex')),
      );
      assert.equal(reader.isMidMessage, false);
    }),
  );
});

function framed(body: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

test('a status message survives its encoding and stays within printable ASCII', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (message) => {
      const encoded = encodeStatusMessage(message);
      assert.match(encoded, /^[\x20-\x7e]*$/);
      assert.equal(decodeStatusMessage(encoded), message);
    }),
  );
});

test('a timeout is sent as it is or a little longer, in eight digits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e15 }), (ms) => {
      const text = formatTimeout(ms);
      assert.match(text, /^\d{1,8}[HMSm]$/);
      assert.ok(parseTimeout(text) >= Math.min(ms, 99_999_999 * 3_600_000));
    }),
  );
  assert.throws(() => parseTimeout('5 s'), { name: 'BadInputError' });
});
