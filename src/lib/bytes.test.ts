import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { CorruptionError } from './errors.ts';

const safe = fc.maxSafeInteger();
const unsigned = fc.maxSafeNat();

test('ByteReader reads back what ByteWriter wrote', () => {
  const value = fc.record(
    {
      u8: fc.nat(0xff),
      u16: fc.nat(0xffff),
      u32: fc.nat(0xffffffff),
      u64: unsigned,
      uv: unsigned,
      v: safe,
      uv64: fc.bigInt(0n, 2n ** 64n - 1n),
      v64: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      f64: fc.double(),
      text: fc.string({ unit: 'grapheme', maxLength: 60 }),
      blob: fc.uint8Array(),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(value, (want) => {
      const writer = new ByteWriter(1);
      writer.uint8(want.u8);
      writer.uint16(want.u16);
      writer.uint32(want.u32);
      writer.uint64(want.u64);
      writer.uvarint(want.uv);
      writer.varint(want.v);
      writer.uvarint64(want.uv64);
      writer.varint64(want.v64);
      writer.float64(want.f64);
      writer.string(want.text);
      writer.bytes(want.blob);
      const reader = new ByteReader(writer.toBytes());
      assert.deepEqual(
        {
          u8: reader.uint8(),
          u16: reader.uint16(),
          u32: reader.uint32(),
          u64: reader.uint64(),
          uv: reader.uvarint(),
          v: reader.varint(),
          uv64: reader.uvarint64(),
          v64: reader.varint64(),
          f64: reader.float64(),
          text: reader.string(),
          blob: reader.bytes(want.blob.length),
        },
        want,
      );
      assert.equal(reader.remaining, 0);
    }),
  );
});

test('small and 64-bit varints are the same code', () => {
  fc.assert(
    fc.property(safe, (value) => {
      const [small, large] = [new ByteWriter(), new ByteWriter()];
      small.varint(value);
      large.varint64(BigInt(value));
      assert.deepEqual(small.toBytes(), large.toBytes());
    }),
  );
});

test('reading past the end names the offset in the file and what was expected', () => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3), 1, 'index toc', 100);
  assert.throws(() => reader.uint32(), {
    name: 'CorruptionError',
    message: 'index toc at offset 101: found 2 bytes before the end, expected uint32 (4 bytes)',
  });
  assert.throws(() => new ByteReader(Uint8Array.of(0x80)).uvarint(), CorruptionError);
  assert.throws(() => new ByteReader(new Uint8Array(11).fill(0xff)).uvarint(), CorruptionError);
  assert.throws(() => new ByteReader(Uint8Array.of(5, 65)).string(), CorruptionError);
});

test('numbers that a double cannot hold are refused, not rounded', () => {
  const writer = new ByteWriter();
  writer.uvarint64(2n ** 53n);
  assert.throws(() => new ByteReader(writer.toBytes()).uvarint(), /expected uvarint below 2\^53/);
  assert.throws(() => new ByteReader(new Uint8Array(8).fill(0xff)).uint64(), CorruptionError);
});
