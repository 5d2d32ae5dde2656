import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { labelCompleter, matchExternalLabels } from './external-labels.ts';

test('matchers on external labels are judged and taken out', () => {
  const external = Labels.fromObject({ cluster: 'eu', replica: '0' });
  const job = newMatcher('=', 'job', 'a');
  const of = (...matchers: Parameters<typeof matchExternalLabels>[0]) =>
    matchExternalLabels(matchers, external);
  assert.deepEqual(of(newMatcher('=~', 'cluster', 'e.*'), job), [job]);
  assert.equal(of(newMatcher('!=', 'cluster', 'eu'), job), undefined);
  assert.deepEqual(of(newMatcher('=', 'cluster', 'eu')), []);
  const absent = newMatcher('=', 'zone', '');
  assert.deepEqual(of(absent), [absent]);
});

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
