import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Labels } from '#/model/labels.ts';
import { shardFilter } from './shard.ts';

const labels = fc
  .record({
    job: fc.constantFrom('a', 'b', 'é'),
    pod: fc.constantFrom('0', '1', '2', '3', '4', '5'),
    zone: fc.constantFrom('', 'x'),
  })
  .map((object) => Labels.fromObject(object));

test('every series is in exactly one shard, with all others that agree on the shard’s labels', () => {
  fc.assert(
    fc.property(labels, labels, fc.boolean(), (a, b, by) => {
      const shards = [0, 1, 2].map((shardIndex) =>
        shardFilter({ shardIndex, totalShards: 3, by, labels: ['job'] }),
      );
      const of = (series: Labels) => shards.map((keeps) => keeps(series));
      assert.equal(of(a).filter(Boolean).length, 1);
      const chosen = (series: Labels) =>
        by ? series.only(new Set(['job'])) : series.without(new Set(['job']));
      if (chosen(a).equals(chosen(b))) assert.deepEqual(of(a), of(b));
    }),
  );
});

test('without a shard, or with none in total, nothing is left out', () => {
  const series = Labels.fromObject({ job: 'a' });
  assert.ok(shardFilter(undefined)(series));
  assert.ok(shardFilter({ shardIndex: 0, totalShards: 0, by: true, labels: [] })(series));
});

test('hashes are xxHash64 over names and values, each ended by 0xff', () => {
  // xxh64 of nothing is 0xef46db3751d8e999, odd: no chosen label puts a series in shard 1 of 2.
  const none = (shardIndex: number) =>
    shardFilter({ shardIndex, totalShards: 2, by: true, labels: [] })(Labels.empty);
  assert.deepEqual([none(0), none(1)], [false, true]);
});
