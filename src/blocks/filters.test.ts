import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileRelabeling } from '#/model/relabel.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { SyncCounts } from './fetch-metrics.ts';
import type { SyncState } from './fetch-metrics.ts';
import {
  DeduplicateFilter,
  MarkFilter,
  consistencyDelay,
  labelShard,
  removeReplicaLabels,
  timePartition,
} from './filters.ts';
import type { BlockFilter } from './filters.ts';
import { markBlock } from './markers.ts';
import { encode, idAt, never, sampleMeta, thanosSection } from './testing/sample-block.ts';

const [A, B, C, D] = [1, 2, 3, 4].map((i) => idAt(1_700_000_000_000 + i)) as [
  string,
  string,
  string,
  string,
];

async function kept(
  filter: BlockFilter,
  metas: readonly BlockMeta[],
): Promise<{ ids: string[]; metas: Map<string, BlockMeta>; count: (state: SyncState) => number }> {
  const map = new Map(metas.map((meta) => [meta.ulid, meta]));
  const counts = new SyncCounts();
  await filter.apply(map, counts, never);
  return { ids: [...map.keys()], metas: map, count: (state) => counts.of(state) };
}

describe('block filters', () => {
  test('timePartition() keeps what touches the range, ends included', async () => {
    const metas = [
      sampleMeta({ ulid: A, minTime: 0, maxTime: 100 }),
      sampleMeta({ ulid: B, minTime: 100, maxTime: 200 }),
      sampleMeta({ ulid: C, minTime: 200, maxTime: 300 }),
      sampleMeta({ ulid: D, minTime: 301, maxTime: 400 }),
    ];
    const result = await kept(
      timePartition(
        () => 150,
        () => 200,
      ),
      metas,
    );
    assert.deepEqual(result.ids, [B, C]);
    assert.equal(result.count('time-excluded'), 2);
  });

  test('labelShard() relabels external labels with the block id', async () => {
    const metas = [
      sampleMeta({ ulid: A, ...thanosSection({ cluster: 'eu', replica: '0' }) }),
      sampleMeta({ ulid: B, ...thanosSection({ cluster: 'us', replica: '1' }) }),
      sampleMeta({ ulid: C }),
    ];
    const by = async (config: Parameters<typeof compileRelabeling>[0], leftOut?: string[]) =>
      (await kept(labelShard(compileRelabeling(config), leftOut), metas)).ids;
    assert.deepEqual(await by([{ action: 'keep', source_labels: ['cluster'], regex: 'eu' }]), [A]);
    assert.deepEqual(await by([{ action: 'drop', source_labels: ['__block_id'], regex: B }]), [
      A,
      C,
    ]);
    assert.deepEqual(await by([]), [A, B, C]);
    const shards = await Promise.all(
      ['0', '1'].map((shard) =>
        by(
          [
            {
              action: 'hashmod',
              source_labels: ['cluster', 'replica'],
              modulus: 2,
              target_label: 's',
            },
            { action: 'keep', source_labels: ['s'], regex: shard },
          ],
          ['replica'],
        ),
      ),
    );
    assert.deepEqual(shards.flat().sort(), [A, B, C]);
  });

  test('consistencyDelay() goes by the upload time, else by the ULID, and lets what was made of others through', async () => {
    const now = 1_700_000_600_000;
    const at = (ms: number) => ({ uploadTime: new Date(ms).toISOString() });
    const old = idAt(now - 3_600_000);
    const fresh = idAt(now - 1000);
    const metas = [
      sampleMeta({ ulid: A, ...thanosSection({ a: '1' }, at(now - 60_000)) }),
      sampleMeta({ ulid: B, ...thanosSection({ a: '1' }, at(now - 1000)) }),
      sampleMeta({ ulid: C, ...thanosSection({ a: '1' }, { ...at(now), source: 'compactor' }) }),
      sampleMeta({
        ulid: D,
        ...thanosSection({ a: '1' }, { ...at(now), source: 'bucket.rewrite' }),
      }),
      sampleMeta({
        ulid: old,
        ...thanosSection({ a: '1' }, { uploadTime: '0001-01-01T00:00:00Z' }),
      }),
      sampleMeta({ ulid: fresh }),
    ];
    const metrics = new Metrics();
    const result = await kept(
      consistencyDelay(30_000, { clock: { now: () => now }, metrics }),
      metas,
    );
    assert.deepEqual(result.ids, [A, C, D, old]);
    assert.equal(result.count('too-fresh'), 2);
    assert.match(await metrics.text(), /^thanos_consistency_delay_seconds 30$/m);
  });

  test('MarkFilter drops blocks marked for deletion after the delay and keeps all marks', async () => {
    const bucket = new MemoryBucket();
    const now = 1_700_000_600_000;
    const log = new MemoryLog();
    const mark = (id: string, ms: number) =>
      markBlock(bucket, id, { kind: 'deletion', clock: { now: () => ms } });
    await mark(A, now - 3_600_000);
    await mark(B, now - 1000);
    await bucket.upload(`${C}/deletion-mark.json`, encode('{'));
    const filter = MarkFilter.deletion({
      bucket,
      concurrency: 2,
      log,
      delayMs: 1_800_000,
      clock: { now: () => now },
    });
    const metas = [A, B, C, D].map((ulid) => sampleMeta({ ulid }));
    const result = await kept(filter, metas);
    assert.deepEqual(result.ids, [B, C, D]);
    assert.deepEqual([...filter.marks.keys()].sort(), [A, B]);
    assert.equal(result.count('marked-for-deletion'), 1);
    assert.equal(log.lines[0]?.fields['block'], C);

    await bucket.upload(`${D}/deletion-mark.json`, encode('{"version":7}'));
    await assert.rejects(kept(filter, metas), /version is 7/);
  });

  test('removeReplicaLabels() leaves a label behind', async () => {
    const result = await kept(removeReplicaLabels(['replica', 'rule_replica']), [
      sampleMeta({ ulid: A, ...thanosSection({ cluster: 'eu', replica: '0' }) }),
      sampleMeta({ ulid: B, ...thanosSection({ replica: '0' }) }),
    ]);
    assert.deepEqual(result.metas.get(A)?.thanos?.labels, { cluster: 'eu' });
    assert.deepEqual(result.metas.get(B)?.thanos?.labels, { replica: 'deduped' });
  });

  test('DeduplicateFilter drops what a block of the same group covers', async () => {
    const block = (ulid: string, sources: string[], labels = { a: '1' }, resolution = 0) =>
      sampleMeta({
        ulid,
        compaction: { level: 2, sources, deletable: false, parents: [], failed: false, hints: [] },
        ...thanosSection(labels, { downsample: { resolution } }),
      });
    const dropped = async (metas: BlockMeta[]) => {
      const filter = new DeduplicateFilter();
      const { count } = await kept(filter, metas);
      assert.equal(count('duplicate'), filter.duplicates.size);
      return [...filter.duplicates.keys()].sort();
    };
    assert.deepEqual(await dropped([block(A, [A]), block(B, [B]), block(C, [A, B])]), [A, B]);
    assert.deepEqual(await dropped([block(A, [A]), block(B, [A, B], { a: '2' })]), []);
    assert.deepEqual(await dropped([block(A, [A]), block(B, [A, B], { a: '1' }, 300_000)]), []);
    assert.deepEqual(await dropped([block(A, [C, D]), block(B, [D, C])]), [B]);
    assert.deepEqual(await dropped([block(A, [A, C]), block(B, [B, C])]), []);
    assert.deepEqual(await dropped([block(A, []), block(B, [B])]), [A]);
  });
});
