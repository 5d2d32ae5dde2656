import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
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
import { S3Server } from './testing/s3-server.ts';
import type { Misbehaviour, SeenRequest } from './testing/s3-server.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

let server: S3Server;
const clock = new ImpatientClock();
const log = new MemoryLog();

function open(config: Readonly<Record<string, unknown>> = {}): Promise<Bucket> {
  const defaults = {
    bucket: 'bucket',
    endpoint: server.endpoint,
    insecure: true,
    access_key: 'key',
    secret_key: 'secret',
  };
  return openBucket(
    {
      source: '--objstore.config',
      text: JSON.stringify({ type: 'S3', config: { ...defaults, ...config } }),
    },
    { disk: nodeDisk, clock, random: systemRandom, log, metrics: new Metrics() },
  );
}

before(async () => {
  server = await S3Server.start();
});
after(() => server[Symbol.asyncDispose]());
afterEach(() => {
  server.clear();
  clock.waits.length = 0;
});

bucketSuite('S3 bucket', {
  open: () => {
    server.pageSize = 100;
    return open();
  },
  listed: 250,
});
bucketSuite('S3 bucket with version 1 of listings and small pages', {
  open: () => {
    server.pageSize = 7;
    return open({ list_objects_version: 'v1' });
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

const MIB = 1024 * 1024;

describe('S3 uploads in parts', () => {
  test('send large contents and long streams, and arrive byte for byte', async () => {
    await using bucket = await open({ part_size: 5 * MIB });
    const big = patterned(17 * MIB + 3);
    await bucket.upload('known', big);
    await bucket.upload('stream', streamOf(big, 300_001));
    const parts = server.requests.filter(({ query }) => query.has('partNumber'));
    assert.equal(parts.length, 4 + 2);
    assert.ok(parts.every(({ headers }) => headers['content-md5'] !== undefined));
    for (const name of ['known', 'stream']) {
      assert.ok(Buffer.from(big).equals(await bucket.read(name)));
      assert.equal((await bucket.attributes(name))?.sizeBytes, big.length);
    }
    await assert.rejects(bucket.upload('known', big, { ifAbsent: true }), ConditionError);
    assert.equal(server.unfinished.size, 0);
  });

  test('go up whole when parts are disabled', async () => {
    await using bucket = await open({ disable_multipart: true });
    await bucket.upload('stream', streamOf(patterned(17 * MIB), MIB));
    assert.deepEqual(
      server.requests.map(({ method }) => method),
      ['PUT'],
    );
  });

  test('are aborted when one part or the source fails', async () => {
    await using bucket = await open({ part_size: 5 * MIB, max_retries: 2 });
    first(99, { kind: 'status', status: 500 }, ({ query }) => query.get('partNumber') === '2');
    await assert.rejects(bucket.upload('x', patterned(12 * MIB)), /cannot upload part 2 of "x"/);
    assert.equal(server.unfinished.size, 0);
    server.clear();
    const broken = (async function* () {
      yield patterned(40 * MIB);
      await Promise.resolve();
      throw new Error('the source broke');
    })();
    await assert.rejects(bucket.upload('x', broken), /the source broke/);
    assert.equal(server.unfinished.size, 0);
    assert.deepEqual(await names(bucket, ''), []);
  });

  test('are complete although the answer to the completion was lost', async () => {
    await using bucket = await open({ part_size: 5 * MIB });
    const isEnd = ({ method, query }: SeenRequest) => method === 'POST' && query.has('uploadId');
    first(1, { kind: 'lose-reply' }, isEnd);
    await bucket.upload('x', patterned(6 * MIB));
    assert.equal((await bucket.attributes('x'))?.sizeBytes, 6 * MIB);
  });
});

remoteSuite('S3', {
  open,
  attempts: (count) => ({ max_retries: count }),
  server: () => ({
    fail: first,
    requests: () => server.requests,
    forget: () => (server.requests.length = 0),
  }),
  clock,
  throttles: [
    { kind: 'status', status: 429, code: 'TooManyRequests' },
    { kind: 'status', status: 503, code: 'SlowDown' },
  ],
});

describe('S3 says what to check', () => {
  test('when the bucket is missing', async () => {
    await failsWith(
      await open({ bucket: 'nowhere' }),
      /bucket "nowhere" does not exist at http:\/\/127\.0\.0\.1:\d+; check bucket, endpoint and region \(us-east-1\)/,
    );
  });

  test('when the credentials are wrong', async () => {
    const bucket = await open({ access_key: 'wrong', secret_key: 'wrong' });
    await failsWith(bucket, /does not know the access key|access to bucket "bucket" .* is denied/);
  });

  test('when nothing listens there', async () => {
    const gone = await S3Server.start();
    const { endpoint } = gone;
    await gone[Symbol.asyncDispose]();
    const bucket = await open({ max_retries: 1, endpoint });
    await failsWith(
      bucket,
      /nothing listens at http:\/\/127\.0\.0\.1:\d+; check endpoint, its port/,
    );
  });

  test('when the server has no TLS', async () => {
    const bucket = await open({ insecure: false, max_retries: 1 });
    await failsWith(bucket, /does not speak TLS as expected; set insecure: true/);
  });
});

test('objects carry the configured metadata, storage class and encryption', async () => {
  await using bucket = await open({
    put_user_metadata: { owner: 'me', 'X-Amz-Storage-Class': 'STANDARD_IA' },
    sse_config: { type: 'SSE-KMS', kms_key_id: 'k1', kms_encryption_context: { a: 'b' } },
  });
  await bucket.upload('x', bytes('x'));
  const headers = server.headersOf('x');
  assert.equal(headers['x-amz-meta-owner'], 'me');
  assert.equal(headers['x-amz-storage-class'], 'STANDARD_IA');
  assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms');
  assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'k1');
  assert.equal(
    headers['x-amz-server-side-encryption-context'],
    Buffer.from('{"a":"b"}').toString('base64'),
  );
  assert.equal(headers['x-amz-checksum-crc32'], undefined);
});

test('the key of SSE-C goes along with everything that reads or writes contents', async () => {
  await using directory = await temporaryKey('k'.repeat(32));
  await using bucket = await open({
    part_size: 5 * MIB,
    sse_config: { type: 'SSE-C', encryption_key: directory.path },
  });
  await bucket.upload('x', bytes('x'));
  await bucket.upload('parts', patterned(6 * MIB));
  await bucket.read('x');
  await bucket.attributes('x');
  const key = Buffer.from('k'.repeat(32)).toString('base64');
  const without = server.requests.filter(
    ({ headers }) => headers['x-amz-server-side-encryption-customer-key'] !== key,
  );
  assert.deepEqual(without, []);
  assert.equal(
    server.requests[0]?.headers['x-amz-server-side-encryption-customer-key-md5'],
    createHash('md5').update('k'.repeat(32)).digest('base64'),
  );
});

async function temporaryKey(key: string): Promise<AsyncDisposable & { readonly path: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'sse-c-'));
  const path = join(directory, 'key');
  await writeFile(path, key);
  return { path, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}
