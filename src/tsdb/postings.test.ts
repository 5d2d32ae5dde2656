import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { intersect, subtract, union } from './postings.ts';

const list = fc
  .uniqueArray(fc.oneof(fc.nat(60), fc.nat(100_000)), { maxLength: 80 })
  .map((series) => Uint32Array.from(series).sort());

test('intersect(), union() and subtract() are those of sets', () => {
  fc.assert(
    fc.property(fc.array(list, { minLength: 1, maxLength: 5 }), (lists) => {
      const sets = lists.map((postings) => new Set(postings));
      const any = [...new Set(lists.flatMap((postings) => [...postings]))].sort((a, b) => a - b);
      assert.deepEqual([...union(lists)], any);
      const common = any.filter((series) => sets.every((set) => set.has(series)));
      assert.deepEqual([...intersect(lists)], common);
      const [first, ...rest] = lists;
      const removed = new Set(rest.flatMap((postings) => [...postings]));
      assert.deepEqual(
        [...subtract(first!, union(rest))],
        [...first!].filter((series) => !removed.has(series)),
      );
    }),
  );
});
