import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compressBlock, uncompressBlock } from './snappy.ts';

test('a block gives back what was compressed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      assert.deepEqual([...uncompressBlock(compressBlock(bytes), 500)], [...bytes]);
    }),
  );
});

test('a block over the limit is refused by what it declares', () => {
  const block = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, 0);
  assert.throws(() => uncompressBlock(block, 1000), {
    name: 'LimitError',
    message: 'a snappy block declares 4294967295 bytes, over the limit of 1000',
  });
});

test('damage is an error with a name', () => {
  const block = compressBlock(Buffer.from('word word word word word'));
  for (const damaged of [block.subarray(0, 5), Uint8Array.of(), Uint8Array.of(0x85)]) {
    assert.throws(() => uncompressBlock(damaged, 1000), { name: 'CorruptionError' });
  }
});
