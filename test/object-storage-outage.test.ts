import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { systemRandom } from '#/lib/random.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { openBucket } from '#/objstore/open.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { S3Server } from '../src/objstore/testing/s3-server.ts';
import type { Misbehaviour } from '../src/objstore/testing/s3-server.ts';
import { BLOCK_MS, launchStore, startQuery, uploadBlock } from './support/components.ts';
import type { RunningQuery } from './support/components.ts';
import { eventually } from './support/servers.ts';

/** Ten times as fast as the system's, for servers and waits that take seconds. */
const fastClock: Clock = {
  now: () => systemClock.now() * 10,
  sleep: (ms, signal) => systemClock.sleep(ms / 10, signal),
};

interface Opened {
  readonly server: S3Server;
  readonly bucket: Bucket;
  readonly metrics: Metrics;
  readonly log: MemoryLog;
}

/** A store gateway's bucket below a server that holds a block for each zone. */
async function openServer(
  zones: readonly string[],
  { maxQps = 0, clock = systemClock }: { readonly maxQps?: number; readonly clock?: Clock } = {},
): Promise<Opened & AsyncDisposable> {
  const server = await S3Server.start();
  const [metrics, log] = [new Metrics(), new MemoryLog()];
  const open = (qps: number) =>
    openBucket(
      {
        source: 'test',
        text: JSON.stringify({
          type: 'S3',
          config: {
            bucket: 'bucket',
            endpoint: server.endpoint,
            insecure: true,
            access_key: 'key',
            secret_key: 'secret',
          },
        }),
      },
      { disk: nodeDisk, clock, random: systemRandom, log, metrics, maxQps: qps },
    );
  await using unbounded = await open(0);
  for (const zone of zones) await uploadBlock(unbounded, zone);
  server.requests.length = 0;
  return {
    server,
    bucket: await open(maxQps),
    metrics,
    log,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Refuses what comes faster than `qps`, but for a second's worth at once. */
function limiter(qps: number): {
  readonly refused: () => number;
  take(): Misbehaviour | undefined;
} {
  let tokens = qps;
  let filledAt = fastClock.now();
  let refused = 0;
  return {
    refused: () => refused,
    take() {
      const now = fastClock.now();
      tokens = Math.min(qps, tokens + ((now - filledAt) / 1000) * qps);
      filledAt = now;
      if (tokens >= 1) {
        tokens--;
        return undefined;
      }
      refused++;
      return { kind: 'status', status: 429, code: 'TooManyRequests' };
    },
  };
}

function ask(querier: RunningQuery, zones = '.+') {
  return querier.query({
    query: `count by (zone) (up{zone=~"${zones}"})`,
    time: String(BLOCK_MS / 1000 - 60),
  });
}

const sync = {
  metaConcurrency: 32,
  blockConcurrency: 20,
  intervalMs: 600_000,
  deletionIntervalMs: 600_000,
};

describe('a bucket that takes 5 requests a second', () => {
  const zones = Array.from({ length: 60 }, (_, i) => `zone-${i}`);
  for (const [title, maxQps, mostRefused] of [
    ['and the store finds out', 0, 60],
    ['and --objstore.max-qps=5', 5, 0],
  ] as const) {
    test(`is served: ${title}`, async () => {
      await using opened = await openServer(zones, { maxQps, clock: fastClock });
      const { server, bucket } = opened;
      const limit = limiter(5);
      server.misbehave = () => limit.take();
      await using store = await launchStore(bucket, sync);
      await eventually('the store is ready', async () => (store.probe.isReady ? true : undefined));
      assert.ok(limit.refused() <= mostRefused, `${limit.refused()} were refused`);
      // A listing of deletions, one of blocks, and the meta and the mark of each block.
      assert.equal(server.requests.length - limit.refused(), 2 + 2 * zones.length);
      await using querier = await startQuery([store.grpc]);
      const { body } = await ask(querier, 'zone-7');
      assert.deepEqual(
        body.data?.result.map(({ metric }) => metric),
        [{ zone: 'zone-7' }],
      );
      assert.equal(body.warnings, undefined);
    });
  }
});

describe('a store gateway', () => {
  test('waits for a bucket that refuses its credentials, and says so', async () => {
    for (const [status, code, message] of [
      [403, 'InvalidAccessKeyId', /does not know the access key; check access_key/],
      [401, 'AccessDenied', /access to bucket "bucket" .* is denied; check the credentials/],
      [404, 'NoSuchBucket', /bucket "bucket" does not exist at .*; check bucket, endpoint/],
    ] as const) {
      await using opened = await openServer(['a'], { clock: fastClock });
      const { server, bucket } = opened;
      server.misbehave = () => ({ kind: 'status', status, code });
      await using store = await launchStore(
        bucket,
        { ...sync, intervalMs: 100 },
        { clock: fastClock },
      );
      const line = await eventually('it is logged', async () =>
        store.log.lines.find(({ level }) => level === 'warn'),
      );
      assert.equal(
        line.message,
        'cannot look into the bucket yet, so nothing is served; trying again',
      );
      assert.match(String(line.fields['err']), message);
      assert.equal(store.probe.isReady, false);
      server.misbehave = () => undefined;
      await eventually('the store is ready', async () => (store.probe.isReady ? true : undefined));
    }
  });

  test('is not ready while a part of the metas cannot be read', async () => {
    await using opened = await openServer(['a', 'b', 'c'], { clock: fastClock });
    const { server, bucket } = opened;
    let metas = 0;
    server.misbehave = ({ path }) =>
      path.endsWith('/meta.json') && metas++ > 0 ? { kind: 'status', status: 403 } : undefined;
    await using store = await launchStore(
      bucket,
      { ...sync, metaConcurrency: 1 },
      { clock: fastClock },
    );
    const line = await eventually('it is logged', async () =>
      store.log.lines.find(({ message }) => message.startsWith('cannot look into the bucket')),
    );
    assert.match(String(line.fields['err']), /the metas of 2 blocks cannot be read, besides 1/);
    assert.equal(store.probe.isReady, false);
    server.misbehave = () => undefined;
    await eventually('the store is ready', async () => (store.probe.isReady ? true : undefined));
  });

  test('answers in part while its bucket is down, at once, and in full again afterwards', async () => {
    await using opened = await openServer(['a', 'b'], { clock: fastClock });
    const { server, bucket, metrics, log } = opened;
    await using store = await launchStore(bucket, sync);
    await eventually('the store is ready', async () => (store.probe.isReady ? true : undefined));
    await using querier = await startQuery([store.grpc]);

    server.misbehave = () => ({ kind: 'reset' });
    const down = async () => {
      const { status, body } = await ask(querier);
      assert.equal(status, 200);
      assert.deepEqual(body.data?.result, []);
      return body.warnings!.join('\n');
    };
    await down();
    await eventually('the breaker is open', async () => {
      await down();
      return /^hindsight_objstore_breaker_state\{bucket="bucket"\} 2$/m.test(await metrics.text())
        ? true
        : undefined;
    });
    const before = systemClock.now();
    assert.match(
      await down(),
      /s3:\/\/bucket is out of reach since [-0-9T:.Z]+, and is tried again .*: no answer from http/,
    );
    assert.ok(systemClock.now() - before < 1000);
    assert.ok(
      log.lines.some(({ message }) => message.startsWith('object storage is out of reach')),
    );

    server.misbehave = () => undefined;
    await eventually('the answer is whole', async () => {
      const { body } = await ask(querier);
      return body.warnings === undefined && body.data?.result.length === 2 ? true : undefined;
    });
    assert.ok(log.lines.some(({ message }) => message === 'object storage answers again'));
  });
});
