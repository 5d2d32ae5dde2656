import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { nodeDisk } from '#/lib/disk.ts';
import { systemRandom } from '#/lib/random.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { ConditionError } from './bucket.ts';
import type { Bucket } from './bucket.ts';
import { openBucket } from './open.ts';
import { bucketSuite, names, patterned } from './testing/bucket-suite.ts';
import { ImpatientClock } from './testing/impatient-clock.ts';
import { failsWith, remoteSuite, streamOf } from './testing/remote-suite.ts';
import { GcsServer } from './testing/gcs-server.ts';
import type { Misbehaviour, SeenRequest } from './testing/s3-server.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (from: Uint8Array) => new TextDecoder().decode(from);
const MIB = 1024 * 1024;

let server: GcsServer;
const clock = new ImpatientClock();

function open(config: Readonly<Record<string, unknown>> = {}, url = server.url): Promise<Bucket> {
  return openBucket(
    {
      source: '--objstore.config',
      text: JSON.stringify({ type: 'GCS', config: { bucket: 'bucket', ...config } }),
    },
    {
      disk: nodeDisk,
      clock,
      random: systemRandom,
      log: new MemoryLog(),
      metrics: new Metrics(),
      environment: { STORAGE_EMULATOR_HOST: url },
    },
  );
}

before(async () => {
  server = await GcsServer.start();
});
after(() => server[Symbol.asyncDispose]());
afterEach(() => {
  server.clear();
  clock.waits.length = 0;
});

bucketSuite('GCS bucket', {
  open: () => {
    server.pageSize = 100;
    return open();
  },
  listed: 250,
});
bucketSuite('GCS bucket with small pages', {
  open: () => {
    server.pageSize = 7;
    return open();
  },
  listed: 60,
});

/** Misbehaves on the first `times` requests that match. */
function first(
  times: number,
  fault: Misbehaviour,
  matches: (request: SeenRequest) => boolean = () => true,
): void {
  let left = times;
  server.misbehave = (request) => (matches(request) && left-- > 0 ? fault : undefined);
}

const isPart = ({ path, method }: SeenRequest) => path.startsWith('/session/') && method === 'PUT';

describe('GCS uploads in parts', () => {
  test('send large contents and long streams, and arrive byte for byte', async () => {
    await using bucket = await open({ chunk_size_bytes: MIB - 5 });
    const big = patterned(3 * MIB + 3);
    await bucket.upload('known', big);
    await bucket.upload('stream', streamOf(big, 300_001));
    await bucket.upload('even', streamOf(big.subarray(0, 2 * MIB), 300_001));
    assert.equal(server.requests.filter(isPart).length, 4 + 4 + 2);
    for (const name of ['known', 'stream']) {
      assert.ok(Buffer.from(big).equals(await bucket.read(name)));
    }
    assert.equal((await bucket.attributes('even'))?.sizeBytes, 2 * MIB);
    await assert.rejects(bucket.upload('known', big, { ifAbsent: true }), ConditionError);
    const late = bucket.upload('known', big, { ifMatch: '1' });
    await assert.rejects(late, ConditionError);
    assert.equal(server.unfinished.size, 0);
  });

  test('go on where the server says it is', async () => {
    await using bucket = await open({ chunk_size_bytes: MIB });
    const big = patterned(3 * MIB + 3);
    server.keptBytes = 256 * 1024 * 3;
    await bucket.upload('kept in part', big);
    assert.ok(Buffer.from(big).equals(await bucket.read('kept in part')));
    server.keptBytes = Number.POSITIVE_INFINITY;
    for (const fault of ['lose-reply', 'reset'] as const) {
      for (let nth = 1; nth <= 4; nth++) {
        let seen = 0;
        server.misbehave = (request) =>
          isPart(request) && ++seen === nth ? { kind: fault } : undefined;
        await bucket.upload(`${fault} ${nth}`, big, { ifAbsent: true });
        assert.ok(Buffer.from(big).equals(await bucket.read(`${fault} ${nth}`)));
      }
    }
  });

  test('are cancelled when one part or the source fails', async () => {
    await using bucket = await open({ chunk_size_bytes: MIB, max_retries: 2 });
    let seen = 0;
    server.misbehave = (request) =>
      isPart(request) && ++seen >= 2 ? { kind: 'status', status: 500 } : undefined;
    const failing = bucket.upload('x', patterned(3 * MIB));
    await assert.rejects(failing, /cannot upload part 2 of "x": .* answered 500/);
    assert.equal(server.unfinished.size, 0);
    server.clear();
    const broken = (async function* () {
      yield patterned(5 * MIB);
      await Promise.resolve();
      throw new Error('the source broke');
    })();
    await assert.rejects(bucket.upload('x', broken), /the source broke/);
    assert.equal(server.unfinished.size, 0);
    assert.deepEqual(await names(bucket, ''), []);
  });
});

remoteSuite('GCS', {
  open: (config) => open(config),
  attempts: (count) => ({ max_retries: count }),
  server: () => ({
    fail: first,
    requests: () => server.requests,
    forget: () => (server.requests.length = 0),
  }),
  clock,
  throttles: [
    { kind: 'status', status: 429, code: 'rateLimitExceeded' },
    { kind: 'status', status: 403, code: 'userRateLimitExceeded' },
  ],
});

describe('GCS says what to check', () => {
  test('when the bucket is missing', async () => {
    const message = /bucket "nowhere" does not exist at http:\/\/127\.0\.0\.1:\d+; check bucket/;
    await failsWith(await open({ bucket: 'nowhere' }), message);
  });

  test('when the credentials are wrong or have no rights', async () => {
    server.token = 'secret';
    await failsWith(await open(), /does not accept the credentials: .*; check service_account or/);
    first(99, { kind: 'status', status: 403, code: 'forbidden' });
    await failsWith(await open(), /access to bucket "bucket" is denied: .*; check the rights of/);
  });

  test('when there are no credentials', async () => {
    const account = { type: 'service_account', client_email: 'a@b', private_key: 'no key' };
    const bucket = await open({ service_account: JSON.stringify(account) });
    await failsWith(
      bucket,
      /no credentials for http:.*; check service_account, GOOGLE_APPLICATION_/,
    );
  });

  test('when nothing listens there', async () => {
    const gone = await GcsServer.start();
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    const bucket = await open({ max_retries: 1 }, url);
    await failsWith(bucket, /nothing listens at http:\/\/127\.0\.0\.1:\d+$/);
  });
});

test('GCS gets a token with the configured account, and shows it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hindsight-test-'));
  try {
    const file = join(directory, 'subject');
    await writeFile(file, 'who I am');
    server.token = 'a-token';
    const account = {
      type: 'external_account',
      audience:
        '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${server.url}/token`,
      credential_source: { file },
    };
    await using bucket = await open({ service_account: JSON.stringify(account) });
    await bucket.upload('x', bytes('x'));
    assert.equal(text(await bucket.read('x')), 'x');
    const tokens = server.requests.filter(({ path }) => path === '/token');
    assert.equal(tokens.length, 1);
  } finally {
    await rm(directory, { recursive: true });
  }
});
