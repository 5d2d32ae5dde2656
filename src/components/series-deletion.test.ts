import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DELETIONS_DIRECTORY, newDeletion, putDeletion } from '#/blocks/series-deletions.ts';
import type { NewDeletion } from '#/blocks/series-deletions.ts';
import { seededRandom } from '#/lib/random.ts';
import { appliedDeletions } from '#/tsdb/block-rewrites.ts';
import { CompactWorld, HOUR_MS, START_MS } from './testing/compact-world.ts';

const random = seededRandom(2);
const ages = { fiveMinutesMs: 40 * HOUR_MS, oneHourMs: 240 * HOUR_MS };
const keepMs = 24 * HOUR_MS;

class DeletionWorld extends CompactWorld {
  async delete(wanted: NewDeletion): Promise<string> {
    const request = newDeletion(wanted, { clock: this.clock, random });
    await putDeletion(this.bucket, request);
    return request.id;
  }

  /** Series that still have samples, with how many. */
  async counts(): Promise<Record<string, number>> {
    const all = await this.samples();
    return Object.fromEntries([...all].map(([name, samples]) => [name, samples.size]));
  }

  get requests(): string[] {
    return this.bucket.names.filter((name) => name.startsWith(DELETIONS_DIRECTORY));
  }
}

describe('a compactor and deletions of series', () => {
  test('every block that has something of a deletion is written anew, and the others are not', async () => {
    const world = new DeletionWorld();
    const first = await world.addBlock({ from: 0, to: 2 });
    const other = await world.addBlock({ from: 2, to: 4, labels: { cluster: 'b' } });
    const without = await world.addBlock({ from: 4, to: 6, series: ['down'] });
    const id = await world.delete({ selectors: ['up{cluster="a"}'] });
    await world.compact();
    const blocks = await world.blocks();
    assert.deepEqual(
      blocks.map(({ compaction }) => compaction.sources),
      [first, without, other].map(({ ulid }) => [ulid]),
    );
    assert.deepEqual(
      blocks.map((block) => appliedDeletions(block).has(id)),
      [true, false, false],
    );
    assert.deepEqual(await world.counts(), {
      '{"cluster":"a"} down': 240,
      '{"cluster":"b"} down': 120,
      '{"cluster":"b"} up': 120,
    });
    assert.equal(world.requests.length, 1, 'older data may yet come');
    const before = world.bucket.names;
    await world.compact();
    assert.deepEqual(
      world.bucket.names.filter((name) => name.endsWith('meta.json')),
      before.filter((name) => name.endsWith('meta.json')),
    );
  });

  test('a part of the time is deleted, at every resolution, before anything is made of the blocks', async () => {
    const world = new DeletionWorld();
    for (let hour = 0; hour < 58; hour += 2) await world.addBlock({ from: hour, to: hour + 2 });
    await world.compact({ downsampleAges: ages });
    const range = { mint: START_MS + HOUR_MS, maxt: START_MS + 3 * HOUR_MS - 1 };
    const id = await world.delete({ selectors: ['up'], ...range });
    await world.addBlock({ from: 58, to: 60 });
    await world.compact({ downsampleAges: ages });
    assert.deepEqual(await world.counts(), {
      '{"cluster":"a"} down': 60 * 60,
      '{"cluster":"a"} up': 58 * 60,
    });
    const blocks = await world.blocks();
    const touched = blocks.filter(({ minTime }) => minTime <= range.maxt);
    assert.deepEqual(
      touched.map(({ thanos }) => thanos?.downsample.resolution),
      [0, 300_000],
    );
    for (const block of touched) assert.ok(appliedDeletions(block).has(id));
    const coarse = await world.open(touched[1]!.ulid);
    for (const { labels, chunks } of await coarse.allSeries()) {
      const hasHole = chunks[0]!.mint >= START_MS + 300_000 - 1;
      assert.ok(hasHole, labels.toString());
    }
  });

  test('blocks that come later are subject to it, until it is over; then it goes', async () => {
    const world = new DeletionWorld();
    await world.addBlock({ from: 0, to: 2 });
    await world.delete({ selectors: ['up'] });
    await world.compact({ seriesDeletions: { keepMs, adminApi: false } });
    await world.clock.advance(12 * HOUR_MS);
    await world.addBlock({ from: 2, to: 4 });
    await world.compact({ seriesDeletions: { keepMs, adminApi: false } });
    assert.deepEqual(await world.counts(), { '{"cluster":"a"} down': 240 });
    await world.clock.advance(13 * HOUR_MS);
    await world.compact({ seriesDeletions: { keepMs, adminApi: false } });
    assert.equal(world.requests.length, 1, 'the old blocks are still in the bucket');
    await world.clock.advance(48 * HOUR_MS);
    await world.compact({ seriesDeletions: { keepMs, adminApi: false } });
    await world.compact({ seriesDeletions: { keepMs, adminApi: false } });
    assert.deepEqual(world.requests, []);
    await world.addBlock({ from: 4, to: 6 });
    await world.compact({ seriesDeletions: { keepMs, adminApi: false } });
    assert.equal((await world.counts())['{"cluster":"a"} up'], 120);
  });

  test('what is deleted of one replica is gone before replicas are merged', async () => {
    const world = new DeletionWorld();
    for (const replica of ['a', 'b']) {
      const labels = { cluster: 'x', replica };
      const offsetMs = replica === 'a' ? 0 : 1000;
      for (const from of [0, 2, 4, 6, 8, 10]) {
        await world.addBlock({ from, to: from + 2, labels, offsetMs });
      }
    }
    await world.delete({ selectors: ['up{replica="a"}'] });
    await world.compact({ replicaLabels: ['replica'] });
    const samples = (await world.samples()).get('{"cluster":"x"} up')!;
    assert.ok(samples.size > 0);
    assert.deepEqual(
      [...samples.keys()].filter((time) => time < START_MS + 8 * HOUR_MS && time % 60_000 === 0),
      [],
    );
  });

  test('one that cannot be read is a failure, and stops nothing else', async () => {
    const world = new DeletionWorld();
    await world.addBlock({ from: 0, to: 2 });
    await world.delete({ selectors: ['up'] });
    const name = `${DELETIONS_DIRECTORY}/01ARZ3NDEKTSV4RRFFQ69G5FAV`;
    await world.bucket.upload(name, new TextEncoder().encode('?'));
    await assert.rejects(world.compact(), /series-deletions\/01ARZ3NDEKTSV4RRFFQ69G5FAV: /);
    assert.deepEqual(await world.counts(), { '{"cluster":"a"} down': 120 });
  });
});

describe('the API of deletions', () => {
  const path = '/api/v1/admin/tsdb/delete_series';
  const post = (body: Record<string, string>) =>
    ({ method: 'POST', body: new URLSearchParams(body).toString() }) as const;

  test('deletes, lists and takes back in the form of Prometheus', async () => {
    const world = new DeletionWorld();
    const { ulid } = await world.addBlock({ from: 0, to: 2 });
    await using _compactor = world.start();
    const dry = await world.ask(path, post({ 'match[]': 'up', dry_run: 'true' }));
    assert.equal(dry.status, 200);
    const { data } = JSON.parse(dry.text) as { data: { blocks: object[]; samples: number } };
    assert.equal(data.samples, 120);
    assert.equal(data.blocks.length, 1);
    assert.partialDeepStrictEqual(data.blocks[0], { ulid, series: 1, samples: 120, resolution: 0 });
    assert.deepEqual(world.requests, []);

    const end = (START_MS + HOUR_MS) / 1000;
    const done = await world.ask(path, post({ 'match[]': 'up', end: String(end), reason: 'test' }));
    assert.deepEqual([done.status, done.text], [204, '']);
    const id = world.bucket.names
      .find((name) => name.startsWith(DELETIONS_DIRECTORY))!
      .slice(DELETIONS_DIRECTORY.length + 1);
    assert.equal(done.headers['location'], `/api/v1/admin/tsdb/deletions/${id}`);
    const listed = JSON.parse((await world.ask('/api/v1/admin/tsdb/deletions')).text) as object;
    assert.partialDeepStrictEqual(listed, {
      data: {
        deletions: [
          {
            id,
            selectors: ['{__name__="up"}'],
            end: new Date(START_MS + HOUR_MS).toISOString(),
            reason: 'test',
            state: 'pending',
            blocks: 1,
            applied: 0,
          },
        ],
        unreadable: [],
      },
    });
  });

  test('refuses what Prometheus refuses, in its words', async () => {
    const world = new DeletionWorld();
    await using _compactor = world.start();
    const error = async (body: Record<string, string>) => {
      const { status, text } = await world.ask(path, post(body));
      return { ...(JSON.parse(text) as { errorType: string; error: string }), status };
    };
    assert.partialDeepStrictEqual(await error({}), {
      status: 400,
      errorType: 'bad_data',
      error: 'no match[] parameter provided',
    });
    assert.partialDeepStrictEqual(await error({ 'match[]': 'up', start: 'x' }), {
      status: 400,
      error: `invalid parameter "start": invalid time value for 'start': cannot parse "x" to a valid timestamp`,
    });
    assert.match(
      (await error({ 'match[]': 'up{' })).error,
      /^invalid parameter "match\[\]": 1:4: /,
    );
    assert.match((await error({ 'match[]': '{}' })).error, /at least one non-empty matcher/);
  });

  test('is disabled unless a flag allows it', async () => {
    const world = new DeletionWorld();
    await using _compactor = world.start({ seriesDeletions: { keepMs, adminApi: false } });
    for (const asked of [
      world.ask(path, post({ 'match[]': 'up' })),
      world.ask('/api/v1/admin/tsdb/deletions'),
    ]) {
      const { status, text } = await asked;
      assert.equal(status, 503);
      assert.deepEqual(JSON.parse(text), {
        status: 'error',
        errorType: 'unavailable',
        error: 'admin APIs disabled',
      });
    }
    assert.deepEqual(world.requests, []);
  });
});
