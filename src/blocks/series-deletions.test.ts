import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BadInputError, CorruptionError, NotFoundError, UnavailableError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { seededRandom } from '#/lib/random.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { leanRewrites } from '#/tsdb/block-rewrites.ts';
import { NewerFormatError } from './bucket-index.ts';
import { DeletionView } from './deletion-view.ts';
import {
  DELETIONS_DIRECTORY,
  cancelDeletion,
  decodeDeletion,
  deletionName,
  encodeDeletion,
  newDeletion,
  putDeletion,
} from './series-deletions.ts';
import type { NewDeletion } from './series-deletions.ts';
import { decode, encode, idAt, never, sampleMeta, thanosSection } from './testing/sample-block.ts';

const NOW = 1_700_000_000_000;
const clock = new ManualClock(NOW);
const random = seededRandom(4);
const ask = (wanted: NewDeletion) => newDeletion(wanted, { clock, random });

describe('a request', () => {
  test('comes back from its bytes', () => {
    for (const wanted of [
      { selectors: ['up', '{job=~"a|b", x!=""}'], reason: 'leaked "é"', author: 'me' },
      { selectors: ['up'], mint: -5, maxt: 1000 },
    ]) {
      const request = ask(wanted);
      const read = decodeDeletion(encodeDeletion(request), request.id, 'b');
      assert.deepEqual({ ...read, matchers: [] }, { ...request, matchers: [] });
      assert.equal(read.matchers.length, wanted.selectors.length);
    }
    assert.deepEqual(ask({ selectors: ['up{a="1"}'] }).selectors, ['{a="1",__name__="up"}']);
  });

  test('is about nothing later than now: a series goes on after it was deleted', () => {
    assert.equal(ask({ selectors: ['up'] }).maxt, NOW);
    assert.equal(ask({ selectors: ['up'], maxt: NOW + 5 }).maxt, NOW);
    assert.equal(ask({ selectors: ['up'], maxt: 7 }).maxt, 7);
    assert.throws(() => ask({ selectors: ['up'], mint: NOW + 1 }), /start must not be after/);
    assert.throws(() => ask({ selectors: ['up'], mint: 2, maxt: 1 }), BadInputError);
  });

  test('must select something', () => {
    assert.throws(() => ask({ selectors: [] }), BadInputError);
    assert.throws(() => ask({ selectors: ['{}'] }), /at least one non-empty matcher/);
    assert.throws(() => ask({ selectors: ['{a=~".*"}'] }), /at least one non-empty matcher/);
    assert.throws(() => ask({ selectors: ['up{'] }), /parse error/);
  });

  test('that is damaged or of a later version names its object and what to do', () => {
    const request = ask({ selectors: ['up'] });
    const text = decode(encodeDeletion(request));
    const read = (changed: string) => () => decodeDeletion(encode(changed), request.id, 's3://b');
    const damaged = (error: Error) => {
      assert.ok(error instanceof CorruptionError);
      assert.match(error.message, new RegExp(`^s3://b/${deletionName(request.id)}: `));
      assert.match(error.message, new RegExp(`delete-series --cancel=${request.id}`));
      return true;
    };
    for (const changed of ['', text.replace('up', 'cp'), text.slice(0, -3), 'x'.repeat(200)]) {
      assert.throws(read(changed), damaged);
    }
    assert.throws(() => decodeDeletion(encode(text), idAt(1), 's3://b'), /it is deletion/);
    assert.throws(read(text.replace(' 1 ', ' 2 ')), (error: Error) => {
      assert.ok(error instanceof NewerFormatError);
      assert.match(error.message, /version is 2; .*upgrade/);
      return true;
    });
  });
});

test('a request is there until it is taken back, also when the reply to its write was lost', async () => {
  const bucket = new MemoryBucket({ clock });
  const request = ask({ selectors: ['up'] });
  await putDeletion(bucket, request);
  await putDeletion(bucket, request);
  assert.deepEqual(bucket.names, [`${DELETIONS_DIRECTORY}/${request.id}`]);
  await assert.rejects(putDeletion(bucket, { ...request, reason: 'another' }));
  await cancelDeletion(bucket, request.id);
  assert.deepEqual(bucket.names, []);
  await assert.rejects(cancelDeletion(bucket, request.id), NotFoundError);
  await assert.rejects(cancelDeletion(bucket, '../meta.json'), BadInputError);
});

describe('a view of the deletions', () => {
  const open = () => {
    const bucket = new MemoryBucket({ clock });
    const options = { bucket, maxAgeMs: 90_000, clock };
    const effects = { log: new MemoryLog(), metrics: new Metrics() };
    return { bucket, view: new DeletionView({ ...options, ...effects }) };
  };

  test('costs one listing a look while nothing changes', async () => {
    const { bucket, view } = open();
    await putDeletion(bucket, ask({ selectors: ['up'] }));
    const requests: string[] = [];
    bucket.faults = (operation) => void requests.push(operation);
    await view.sync(never);
    assert.equal(requests.length, 2);
    await view.sync(never);
    assert.deepEqual(requests.slice(2), [`bucket.list ${DELETIONS_DIRECTORY}/`]);
  });

  test('has what selects a block by its time and its external labels, until it was applied', async () => {
    const { bucket, view } = open();
    const meta = sampleMeta({ ulid: idAt(9), ...thanosSection({ cluster: 'a' }) });
    assert.deepEqual(view.of(meta), []);
    const wanted: readonly NewDeletion[] = [
      { selectors: ['up{cluster="a"}', 'down{cluster="b"}'] },
      { selectors: ['{cluster="a"}'], mint: 7_200_000 },
      { selectors: ['{x="1"}'], mint: 7_199_999, maxt: 7_200_000 },
      { selectors: ['{x="1"}'], maxt: -1 },
    ];
    const requests = wanted.map((one, i) => ({ ...ask(one), id: idAt(NOW + i) }));
    for (const request of requests) await putDeletion(bucket, request);
    await view.sync(never);
    const found = view.of(meta).map(({ id, matchers }) => [id, matchers.map(({ name }) => name)]);
    assert.deepEqual(found, [
      [requests[0]!.id, ['__name__']],
      [requests[2]!.id, ['x']],
    ]);
    assert.equal(view.of(meta), view.of(meta));
    const rewrites = leanRewrites([requests[0]!.id, requests[2]!.id]);
    const applied = sampleMeta({ ulid: idAt(9), ...thanosSection({ cluster: 'a' }, { rewrites }) });
    assert.deepEqual(view.of(applied), []);
    await cancelDeletion(bucket, requests[0]!.id);
    await view.sync(never);
    assert.equal(view.of(meta).length, 1);
  });

  test('says so when it is old, or a request cannot be read, and keeps what it has', async () => {
    const { bucket, view } = open();
    assert.match(view.troubles.join(), /has not been tried yet/);
    const request = ask({ selectors: ['up'] });
    await putDeletion(bucket, request);
    await view.sync(never);
    assert.deepEqual(view.troubles, []);
    await bucket.upload(deletionName(idAt(3)), encode('what?'));
    await view.sync(never);
    assert.deepEqual([...view.unreadable.keys()], [idAt(3)]);
    assert.match(view.troubles.join(), /is not honoured: .*what to|--cancel/);
    bucket.faults = () => 'refuse';
    await assert.rejects(view.sync(never), UnavailableError);
    assert.equal(view.troubles.length, 1);
    await clock.advance(91_000);
    assert.match(view.troubles.join('\n'), /cannot be listed/);
    assert.deepEqual(
      view.requests.map(({ id }) => id),
      [request.id],
    );
  });

  test('a listing that lags behind takes no deletion out of force', async () => {
    const { bucket, view } = open();
    await putDeletion(bucket, ask({ selectors: ['up'] }));
    await view.sync(never);
    const list = bucket.list.bind(bucket);
    bucket.list = async function* lagging() {};
    await view.sync(never);
    assert.equal(view.requests.length, 1);
    bucket.list = list;
  });
});
