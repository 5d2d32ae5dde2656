import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Labels } from './labels.ts';
import { matchExternalLabels, newMatcher } from './matcher.ts';

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
