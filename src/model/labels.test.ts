import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Labels, compareLabels } from './labels.ts';

const pairs = fc.array(
  fc.record({
    name: fc.constantFrom('a', 'b', 'ÿ', '__name__', '😀', '\uffff'),
    value: fc.constantFrom('', 'x', 'y', 'xÿy', 'ÿ'),
  }),
);

test('Labels.from() sorts by name, lets the last of equal names win and drops empty values', () => {
  const labels = Labels.from([
    { name: 'b', value: '1' },
    { name: 'a', value: '2' },
    { name: 'b', value: '3' },
    { name: 'c', value: '' },
  ]);
  assert.deepEqual(labels.flat, ['a', '2', 'b', '3']);
});

test('keys are equal exactly for equal label sets', () => {
  fc.assert(
    fc.property(pairs, pairs, (a, b) => {
      const [left, right] = [Labels.from(a), Labels.from(b)];
      const same = JSON.stringify(left.flat) === JSON.stringify(right.flat);
      assert.equal(left.key === right.key, same);
      assert.equal(compareLabels(left, right) === 0, same);
    }),
  );
});

test('a label set prints as in PromQL', () => {
  const labels = Labels.fromObject({ __name__: 'up', job: 'a"b', 'x.y': 'z' });
  assert.equal(labels.toMetricString(), 'up{job="a\\"b", "x.y"="z"}');
});
