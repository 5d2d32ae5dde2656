import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { systemRandom } from '#/lib/random.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { MemoryBucket } from './memory.ts';
import { meteredBucket } from './metered.ts';
import { openBucket } from './open.ts';
import { listPrices, parseRequestPrices } from './request-prices.ts';
import { RequestTally } from './request-tally.ts';
import { GcsServer } from './testing/gcs-server.ts';
import { withReason } from './with-reason.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const MINUTE_MS = 60_000;

function setUp() {
  const clock = new ManualClock(1_700_000_000_000);
  const metrics = new Metrics();
  const log = new MemoryLog();
  const bucket = meteredBucket(
    new MemoryBucket({ clock }),
    { label: 'b', prices: listPrices('S3'), requestPerOperation: true },
    { clock, metrics, log },
  );
  return { clock, metrics, log, bucket };
}

async function value(metrics: Metrics, name: string, ...labels: string[]): Promise<number> {
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith(`${name}{`));
  const matching = lines.filter((line) => labels.every((label) => line.includes(label)));
  return matching.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

describe('the accounts of a bucket', () => {
  test('count requests and bytes by reason, and for the query that they serve', async () => {
    const { bucket, metrics } = setUp();
    const tally = new RequestTally();
    await bucket.upload('x', bytes('12345'), { reason: 'upload' });
    await bucket.read('x', { reason: 'chunks', tally, offset: 1, length: 3 });
    await Array.fromAsync(bucket.readStream('x', { reason: 'postings', tally }));
    await bucket.attributes('x');
    const sync = withReason(bucket, 'sync');
    await Array.fromAsync(sync.list(''));
    await sync.remove('x', { reason: 'deletion' });

    const requests = (...labels: string[]) =>
      value(metrics, 'hindsight_objstore_requests_total', ...labels);
    assert.equal(await requests(), 6);
    assert.equal(await requests('reason="upload"', 'request="put"'), 1);
    assert.equal(await requests('reason="chunks"', 'request="get"'), 1);
    assert.equal(await requests('reason="other"', 'request="head"'), 1);
    assert.equal(await requests('reason="sync"', 'request="list"'), 1);
    assert.equal(await requests('reason="deletion"', 'request="delete"'), 1);
    const moved = (...labels: string[]) =>
      value(metrics, 'hindsight_objstore_bytes_total', ...labels);
    assert.equal(await moved('direction="sent"', 'reason="upload"'), 5);
    assert.equal(await moved('direction="received"', 'reason="chunks"'), 3);
    assert.deepEqual(
      [...tally.byReason],
      [
        ['chunks', { requests: 1, bytes: 3 }],
        ['postings', { requests: 1, bytes: 5 }],
      ],
    );
    assert.deepEqual(tally.total, { requests: 2, bytes: 8 });
  });

  test('estimate what an hour costs, and say so once an hour', async () => {
    const { bucket, metrics, clock, log } = setUp();
    const perHour = () => value(metrics, 'hindsight_objstore_request_cost_per_hour');
    await bucket.upload('x', bytes('1'));
    for (let i = 0; i < 9; i++) await bucket.read('x');
    const cost = (0.005 + 9 * 0.0004) / 1000;
    const total = await value(metrics, 'hindsight_objstore_request_cost_total');
    assert.ok(Math.abs(total - cost) < 1e-15);
    await clock.advance(30 * MINUTE_MS);
    assert.ok(Math.abs((await perHour()) - 2 * cost) < 1e-12, 'half an hour, so twice as much');
    await clock.advance(29 * MINUTE_MS);
    await bucket.attributes('x');
    assert.equal(log.lines.length, 0);
    await clock.advance(2 * MINUTE_MS);
    await bucket.attributes('x');
    assert.ok(Math.abs((await perHour()) - (2 * 0.0004) / 1000) < 1e-12, 'the first are too old');
    const [line] = log.lines;
    assert.equal(line?.fields?.['requests'], 2);
    assert.equal(line?.fields?.['cost'], '0.0000 USD');
    await bucket.attributes('x');
    assert.equal(log.lines.length, 1);
  });

  test('count what is sent again after a failure', async () => {
    await using server = await GcsServer.start();
    const metrics = new Metrics();
    const clock = {
      now: () => systemClock.now(),
      sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms > 10_000 ? ms : 0, signal),
    };
    const text = JSON.stringify({ type: 'GCS', config: { bucket: 'bucket' } });
    const effects = { disk: nodeDisk, random: systemRandom, log: new MemoryLog(), metrics };
    const environment = { STORAGE_EMULATOR_HOST: server.url };
    await using bucket = await openBucket(
      { source: '--objstore.config', text },
      { ...effects, environment, clock },
    );
    await bucket.upload('x', bytes('content'), { reason: 'upload' });
    let left = 2;
    server.misbehave = () => (left-- > 0 ? { kind: 'status', status: 503 } : undefined);
    const tally = new RequestTally();
    await bucket.read('x', { reason: 'chunks', tally });
    assert.deepEqual(tally.byReason.get('chunks'), { requests: 3, bytes: 7 });
    const total = await value(metrics, 'hindsight_objstore_requests_total', 'request="get"');
    assert.equal(total, 3);
    const cost = await value(metrics, 'hindsight_objstore_request_cost_total', 'reason="upload"');
    assert.equal(cost, 0.005 / 1000);
  });
});

describe('parseRequestPrices()', () => {
  test('takes what is given, and the rest as free', () => {
    const text = 'currency: EUR\nper_thousand: {get: 0.1, list: 2}';
    assert.deepEqual(parseRequestPrices('--objstore.request-prices', text), {
      currency: 'EUR',
      perThousand: { list: 2, get: 0.1, head: 0, put: 0, delete: 0 },
    });
  });

  test('refuses unknown requests and prices below nothing, by their place', () => {
    const parse = (text: string) => parseRequestPrices('--objstore.request-prices', text);
    assert.throws(() => parse('per_thousand: {gett: 1}'), BadInputError);
    assert.throws(() => parse('per_thousand: {get: -1}'), /^BadInputError: .*line 1, column/);
    assert.throws(() => parse('{}'), /per_thousand/);
  });
});
