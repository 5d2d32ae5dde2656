import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Heap } from './heap.ts';

test('a heap gives its items in order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.array(fc.integer()), (first, second) => {
      const heap = new Heap<number>((a, b) => a - b);
      for (const item of first) heap.push(item);
      const expected = [...first];
      for (const item of second) {
        if (heap.size === 0) heap.push(item);
        else {
          expected.sort((a, b) => a - b).shift();
          heap.replaceTop(item);
        }
        expected.push(item);
      }
      const popped = expected.map(() => heap.pop());
      assert.deepEqual(
        popped,
        expected.sort((a, b) => a - b),
      );
      assert.equal(heap.pop(), undefined);
    }),
  );
});
