import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CompactorStatus, WorkStatus } from '#/compact/status.ts';
import { systemClock } from '#/lib/clock.ts';
import { CompactWorld, HOUR_MS } from './testing/compact-world.ts';

const HOUR_S = 3600;

async function statusOf(world: CompactWorld): Promise<CompactorStatus> {
  const { status, text } = await world.ask('/api/v1/compact/status');
  assert.equal(status, 200, text);
  return (JSON.parse(text) as { data: CompactorStatus }).data;
}

/** The status once `isThere`; the compactor runs beside the test. */
async function statusWhen(
  world: CompactWorld,
  isThere: (status: CompactorStatus) => boolean,
): Promise<CompactorStatus> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const status = await statusOf(world);
    if (isThere(status)) return status;
    await systemClock.sleep(5);
  }
  throw new Error('the status did not come to be');
}

function hasPassed({ queues }: CompactorStatus): boolean {
  return queues.every(({ lastPass, nextMs }) => lastPass !== undefined && nextMs !== undefined);
}

function compactionOf({ work }: CompactorStatus): WorkStatus {
  return work.find(({ queue }) => queue === 'compaction')!;
}

describe('the status of a compactor', () => {
  test('tells which group is in quarantine, why and what to do, and what is left in it', async () => {
    const world = new CompactWorld();
    for (const cluster of ['a', 'b']) {
      for (let from = 0; from < 10; from += 2) {
        await world.addBlock({ from, to: from + 2, labels: { cluster } });
      }
    }
    await world.addBlock({ from: 1, to: 3, labels: { cluster: 'b' } });
    world.disk.capacityBytes = 1e9;
    await using _ = world.start();
    const status = await statusWhen(world, hasPassed);
    const [a, b] = compactionOf(status).groups.toSorted(
      (one, other) => other.labels['cluster']!.localeCompare(one.labels['cluster']!) * -1,
    );
    assert.deepEqual([a!.labels, a!.blocks, a!.backlog.jobs], [{ cluster: 'a' }, 2, 0]);
    assert.equal(a!.quarantine, undefined);
    assert.deepEqual([b!.labels, b!.blocks, b!.backlog.jobs], [{ cluster: 'b' }, 6, 2]);
    const { kind, message, command, blocks, sinceMs } = b!.quarantine!;
    assert.equal(kind, 'overlap');
    assert.match(message, /overlap: .*; if they are replicas/);
    assert.match(command, /^hindsight tools bucket mark --id=/);
    assert.equal(blocks.length, 3);
    assert.equal(sinceMs, world.clock.now());
    const { backlog, timeLeftMs } = compactionOf(status);
    assert.ok(backlog.bytes > 0 && status.disk.neededBytes > 0);
    assert.ok(status.disk.freeBytes! > 0);
    assert.equal(timeLeftMs, 0, 'what is in quarantine is not waited for');
    const metrics = await world.metrics.text();
    assert.match(metrics, /hindsight_compact_quarantined_groups\{reason="overlap"\} 1\n/);
    assert.match(metrics, /hindsight_compact_quarantined_groups\{reason="damaged-block"\} 0\n/);
    assert.match(metrics, /thanos_compact_halted 1\n/);
    assert.match(metrics, /thanos_compact_todo_compactions 2\n/);
    // The first job is one of data that ended 1000 - 4 hours ago: the blocks that overlap.
    const age = /hindsight_compact_backlog_age_seconds\{queue="compaction"\} (\d+)/.exec(metrics);
    assert.equal(Number(age![1]), 996 * HOUR_S);
  });

  test('a queue that fails for long makes the compactor not ready, until it gets through', async () => {
    const world = new CompactWorld();
    await world.addBlock({ from: 0, to: 2 });
    await using compactor = world.start();
    await statusWhen(world, hasPassed);
    assert.equal(compactor.probe.isReady, true);
    world.bucket.faults = () => 'refuse';
    for (let minutes = 0; minutes < 75; minutes += 5) {
      await world.clock.advance(5 * 60_000);
      await systemClock.sleep(5);
    }
    const { status, text } = await world.ask('/-/ready');
    assert.equal(status, 503);
    assert.match(text, /^NOT OK: compaction: no pass has succeeded for \d+ minutes: /);
    assert.equal((await world.ask('/-/healthy')).status, 200);
    const metrics = await world.metrics.text();
    assert.match(metrics, /hindsight_compact_queue_in_trouble\{queue="compaction"\} 1\n/);
    assert.match(metrics, /thanos_compact_halted 0\n/);
    world.bucket.faults = undefined;
    await world.clock.advance(HOUR_MS / 10);
    await systemClock.sleep(20);
    await world.clock.advance(HOUR_MS / 10);
    assert.equal((await world.ask('/-/ready')).status, 200);
  });
});
