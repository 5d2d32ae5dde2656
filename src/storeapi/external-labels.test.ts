import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Labels } from '#/model/labels.ts';
import { labelCompleter } from './external-labels.ts';

test('labelCompleter() gives external labels precedence and drops replica labels', () => {
  const names = fc.constantFrom('a', 'cluster', 'job', 'replica', 'z', 'é');
  const pairs = fc.uniqueArray(fc.record({ name: names, value: fc.constantFrom('1', '2') }), {
    selector: ({ name }) => name,
  });
  const without = fc.uniqueArray(names, { maxLength: 2 });
  fc.assert(
    fc.property(pairs, pairs, without, (series, external, dropped) => {
      const flat = series.flatMap(({ name, value }) => [name, value]);
      const got = labelCompleter(Labels.from(external), dropped)(flat);
      const want = Labels.from([...series, ...external]).without(new Set(dropped));
      assert.deepEqual(got.flat, want.flat);
      const sorted = labelCompleter(Labels.from(external), dropped)(Labels.from(series).flat);
      assert.deepEqual(sorted.flat, want.flat);
    }),
  );
});
