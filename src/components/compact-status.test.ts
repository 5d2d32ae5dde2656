import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readMark } from '#/blocks/markers.ts';
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

  test('without halting, a group with a fault is tried again until it succeeds', async () => {
    const world = new CompactWorld();
    const blocks = [];
    for (let from = 0; from < 10; from += 2) {
      blocks.push(await world.addBlock({ from, to: from + 2 }));
    }
    const name = `${blocks[1]!.ulid}/chunks/000001`;
    const good = await world.bucket.read(name);
    const bad = good.slice();
    bad[20]! ^= 0xff;
    await world.bucket.upload(name, bad);
    await using _ = world.start({ haltOnError: false });
    const first = await statusWhen(world, hasPassed);
    assert.equal(compactionOf(first).groups[0]!.quarantine?.kind, 'damaged-block');
    assert.match(await world.metrics.text(), /thanos_compact_halted 0\n/);
    await world.disk.remove('/data/compact');
    await world.bucket.upload(name, good);
    await world.clock.advance(5 * 60_000);
    const then = await statusWhen(world, (one) => compactionOf(one).groups[0]!.blocks === 2);
    assert.equal(compactionOf(then).groups[0]!.quarantine, undefined);
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
    assert.match(text, /^NOT OK: series deletion: no pass has succeeded for \d+ minutes: /);
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

describe('the page and the API of blocks', () => {
  const form = (values: Record<string, string>) => new URLSearchParams(values).toString();

  test('the page shows quarantine first, needs no script and escapes everything', async () => {
    const world = new CompactWorld();
    const labels = { cluster: '<script>alert(1)</script>' };
    await world.addBlock({ from: 0, to: 2, labels });
    await world.addBlock({ from: 1, to: 3, labels });
    await using _ = world.start();
    await statusWhen(world, hasPassed);
    const { status, headers, text } = await world.ask('/');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.match(String(headers['content-security-policy']), /default-src 'none'/);
    assert.ok(!text.includes('<script'));
    assert.ok(text.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
    assert.ok(!/(src|href)="(https?:|\/)/.test(text), 'nothing from elsewhere, links are relative');
    const places = [
      'To be looked at',
      'overlap</span>',
      'Running jobs',
      'Still to be done',
      'class="timeline"',
    ];
    const found = places.map((place) => text.indexOf(place));
    assert.ok(!found.includes(-1), String(found));
    assert.deepEqual(
      found,
      found.toSorted((a, b) => a - b),
    );
    assert.match(text, /<pre>hindsight tools bucket mark --id=\w{26} /);
    assert.match(text, /class="r0 l1 faulty"/);
    for (const path of ['/loaded', '/blocks', '/global']) {
      assert.match((await world.ask(path)).text, /2 blocks/);
    }
  });

  test('the blocks are told as by Thanos', async () => {
    const world = new CompactWorld();
    const block = await world.addBlock({ from: 0, to: 2 });
    const fresh = await world.addBlock({ from: 2, to: 4 });
    const filters = { ...world.config().filters, consistencyDelayMs: 5000 * HOUR_MS };
    await using _ = world.start({ filters });
    await statusWhen(world, hasPassed);
    const data = async (query: string) => {
      const { text } = await world.ask(`/api/v1/blocks${query}`);
      return (JSON.parse(text) as { data: Record<string, unknown> }).data;
    };
    assert.deepEqual(await data('?view=loaded'), {
      label: '',
      blocks: [],
      refreshedAt: new Date(world.clock.now()).toISOString(),
      err: null,
    });
    const { blocks } = (await data('')) as { blocks: unknown[] };
    const read = async (id: string) =>
      JSON.parse(new TextDecoder().decode(await world.bucket.read(`${id}/meta.json`))) as unknown;
    assert.deepEqual(blocks, [await read(block.ulid), await read(fresh.ulid)]);
    assert.deepEqual(await data('?view=other'), await data('?view=global'));
    // It is not looked again for a while; what could not be looked at does not take away what was seen.
    world.bucket.faults = () => 'refuse';
    assert.equal((await data(''))['err'], null);
    await world.clock.advance(61_000);
    const failed = await data('');
    assert.equal((failed['blocks'] as unknown[]).length, 2);
    assert.equal(typeof failed['err'], 'object');
  });

  test('blocks are marked, unless that is off or the request is wrong', async () => {
    const world = new CompactWorld();
    const { ulid } = await world.addBlock({ from: 0, to: 2 });
    const mark = async (values: Record<string, string>) => {
      const body = form(values);
      const { status, text } = await world.ask('/api/v1/blocks/mark', { method: 'POST', body });
      if (status === 204) return status;
      const { errorType, error } = JSON.parse(text) as Record<string, string>;
      assert.deepEqual([status, errorType], [400, 'bad_data']);
      return error;
    };
    {
      await using _ = world.start();
      assert.equal(await mark({ action: 'DELETION' }), 'ID cannot be empty');
      assert.equal(await mark({ id: ulid }), 'Action cannot be empty');
      assert.equal(
        await mark({ id: 'x', action: 'DELETION' }),
        'ULID "x" is not valid: ulid: bad data size when unmarshaling',
      );
      assert.equal(await mark({ id: ulid, action: 'BURN' }), 'not supported marker BURN');
      const unknown = '01HF7YAT00B6GR48QH7ECGPZ10';
      assert.match((await mark({ id: unknown, action: 'DELETION' })) as string, /no block/);
      assert.equal(await mark({ id: ulid, action: 'NO_COMPACTION', detail: 'odd' }), 204);
      assert.equal(await mark({ id: ulid, action: 'DELETION', detail: 'old' }), 204);
      assert.equal(await mark({ id: ulid, action: 'DELETION', detail: 'again' }), 204);
      const wrong = await world.ask('/api/v1/blocks/mark');
      assert.equal(wrong.status, 405);
    }
    const deletion = await readMark(world.bucket, ulid, 'deletion');
    assert.equal(deletion?.details, 'old');
    const noCompact = await readMark(world.bucket, ulid, 'no-compact');
    assert.deepEqual([noCompact?.reason, noCompact?.details], ['manual', 'odd']);
    const web = { ...world.config().web!, adminOperations: false, cors: false, routePrefix: 'x/' };
    await using _ = world.start({ web });
    assert.equal(await mark({ id: ulid, action: 'DELETION' }), 'Admin operations are disabled');
    const { headers } = await world.ask('/x/api/v1/blocks');
    assert.equal(headers['access-control-allow-origin'], undefined);
    const moved = await world.ask('/x');
    assert.deepEqual([moved.status, moved.headers.location], [302, '/x/']);
  });
});
