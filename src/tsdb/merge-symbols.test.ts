import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteReader } from '#/lib/byte-reader.ts';
import { ByteWriter } from '#/lib/byte-writer.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { mergeSymbols } from './index/merge-symbols.ts';
import { SymbolTable } from './index/symbols.ts';

const texts = fc.uniqueArray(fc.string({ unit: 'binary', maxLength: 4 }), { maxLength: 20 });

function tableOf(symbols: readonly string[]): SymbolTable {
  const writer = new ByteWriter();
  writer.uint32(symbols.length);
  for (const symbol of symbols) writer.string(symbol);
  return new SymbolTable(writer.toBytes(), 2, 0);
}

test('mergeSymbols() gives every symbol once, in order, and its number for each table', () => {
  fc.assert(
    fc.property(fc.array(texts, { maxLength: 5 }), (all) => {
      const sorted = all.map((one) => one.toSorted(compareUtf8));
      const { symbols, numbers } = mergeSymbols(sorted.map(tableOf));
      const reader = new ByteReader(symbols.records);
      const merged = Array.from({ length: symbols.length }, () => reader.string());
      assert.deepEqual(merged, [...new Set(all.flat())].sort(compareUtf8));
      for (const [i, one] of sorted.entries()) {
        assert.deepEqual(
          Array.from(numbers[i]!, (number) => merged[number]),
          one,
        );
      }
    }),
  );
});

test('mergeSymbols() refuses symbols that are out of order', () => {
  assert.throws(() => mergeSymbols([tableOf(['b', 'a'])]), CorruptionError);
});
