import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { allTime, deletedRanges, deletionWithin } from './series-deletion.ts';

const up = newMatcher('=', '__name__', 'up');
const inEurope = newMatcher('=~', 'region', 'eu-.*');

test('matchers on external labels decide about the block, the others about its series', () => {
  const deletion = { matchers: [up, inEurope], intervals: [allTime] };
  const within = deletionWithin(deletion, Labels.fromObject({ region: 'eu-west' }));
  assert.deepEqual(within, { matchers: [up], intervals: [allTime] });
  assert.equal(deletionWithin(deletion, Labels.fromObject({ region: 'us-east' })), undefined);
});

test('a matcher on a label that the block does not have externally is left to its series', () => {
  const deletion = { matchers: [up, inEurope], intervals: [allTime] };
  assert.deepEqual(deletionWithin(deletion, Labels.fromObject({ cluster: 'a' })), deletion);
});

test('deleted ranges of a series are joined', () => {
  const deletions = [
    { matchers: [up], intervals: [{ mint: 10, maxt: 20 }] },
    { matchers: [inEurope], intervals: [{ mint: 15, maxt: 30 }] },
    { matchers: [up], intervals: [{ mint: 50, maxt: 60 }] },
  ];
  const both = Labels.fromObject({ __name__: 'up', region: 'eu-west' });
  assert.deepEqual(deletedRanges(both, deletions), [
    { mint: 10, maxt: 30 },
    { mint: 50, maxt: 60 },
  ]);
  assert.deepEqual(deletedRanges(Labels.fromObject({ __name__: 'down' }), deletions), []);
});

test('of a downsampled block whole windows are deleted, for a deleted sample may be in any part of them', () => {
  const deletion = {
    id: 'a',
    matchers: [up],
    intervals: [{ mint: 300_001, maxt: 600_000 }, allTime],
  };
  assert.deepEqual(deletionWithin(deletion, Labels.fromObject({}), 300_000), {
    ...deletion,
    intervals: [{ mint: 300_000, maxt: 899_999 }, allTime],
  });
});
