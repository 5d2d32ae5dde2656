import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { systemRandom } from '#/lib/random.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { ConditionError } from './bucket.ts';
import type { Bucket } from './bucket.ts';
import { openBucket } from './open.ts';
import { bucketSuite, gather, names, patterned } from './testing/bucket-suite.ts';
import { S3Server } from './testing/s3-server.ts';
import type { Misbehaviour, SeenRequest } from './testing/s3-server.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (from: Uint8Array) => new TextDecoder().decode(from);

let server: S3Server;
/** Waits between attempts pass at once; deadlines of attempts are real. */
const waits: number[] = [];
const clock = {
  now: () => systemClock.now(),
  sleep: (ms: number, signal?: AbortSignal) => {
    if (ms > 10_000 || ms === HANG_MS) return systemClock.sleep(ms, signal);
    waits.push(ms);
    return systemClock.sleep(0, signal);
  },
};
const HANG_MS = 150;
const log = new MemoryLog();

function open(extra = '', endpoint = server.endpoint, bucket = 'bucket'): Promise<Bucket> {
  const config = `type: S3\nconfig:\n  bucket: ${bucket}\n  endpoint: ${endpoint}\n  insecure: true\n`;
  const keys = extra.includes('access_key') ? '' : '  access_key: key\n  secret_key: secret\n';
  return openBucket(
    { source: '--objstore.config', text: config + keys + extra },
    { disk: nodeDisk, clock, random: systemRandom, log, metrics: new Metrics() },
  );
}

before(async () => {
  server = await S3Server.start();
});
after(() => server[Symbol.asyncDispose]());
afterEach(() => {
  server.clear();
  waits.length = 0;
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
    return open('  list_objects_version: v1\n');
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
    await using bucket = await open('  part_size: 5242880\n');
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
    await using bucket = await open('  disable_multipart: true\n');
    await bucket.upload('stream', streamOf(patterned(17 * MIB), MIB));
    assert.deepEqual(
      server.requests.map(({ method }) => method),
      ['PUT'],
    );
  });

  test('are aborted when one part or the source fails', async () => {
    await using bucket = await open('  part_size: 5242880\n  max_retries: 2\n');
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
    await using bucket = await open('  part_size: 5242880\n');
    const isEnd = ({ method, query }: SeenRequest) => method === 'POST' && query.has('uploadId');
    first(1, { kind: 'lose-reply' }, isEnd);
    await bucket.upload('x', patterned(6 * MIB));
    assert.equal((await bucket.attributes('x'))?.sizeBytes, 6 * MIB);
  });
});

describe('S3 under faults', () => {
  test('retries 429, 503, 500 and lost connections, waiting longer each time', async () => {
    await using bucket = await open();
    await bucket.upload('x', bytes('content'));
    const faults: Misbehaviour[] = [
      { kind: 'status', status: 429, code: 'TooManyRequests' },
      { kind: 'status', status: 503, code: 'SlowDown' },
      { kind: 'status', status: 500, code: 'InternalError' },
      { kind: 'reset' },
    ];
    for (const fault of faults) {
      waits.length = 0;
      first(5, fault);
      assert.equal(text(await bucket.read('x')), 'content');
      assert.equal(waits.length, 5);
      for (const [i, wait] of waits.entries()) {
        assert.ok(wait >= 100 * 2 ** i && wait <= 200 * 2 ** i, `wait ${i}: ${wait}`);
      }
      first(2, fault);
      await bucket.upload('y', bytes('y'));
      first(2, fault);
      assert.equal((await bucket.attributes('y'))?.sizeBytes, 1);
      first(2, fault);
      assert.deepEqual(await names(bucket, ''), ['x', 'y']);
      first(2, fault);
      await bucket.remove('y');
    }
  });

  test('gives up after the configured attempts, and says so', async () => {
    await using bucket = await open('  max_retries: 3\n');
    first(99, { kind: 'status', status: 503, code: 'SlowDown' });
    await assert.rejects(bucket.read('x'), (thrown: Error) => {
      assert.ok(thrown instanceof UnavailableError);
      assert.match(
        thrown.message,
        /^cannot read "x": http:\/\/127\.0\.0\.1:\d+ answered 503 SlowDown: .* \(3 attempts\)$/,
      );
      return true;
    });
    assert.equal(server.requests.length, 3);
  });

  test('does as the server asks with Retry-After', async () => {
    await using bucket = await open();
    first(1, { kind: 'status', status: 503, code: 'SlowDown', retryAfter: 4 });
    await bucket.upload('x', bytes('x'));
    assert.deepEqual(waits, [4000]);
  });

  test('does not retry what will not get better', async () => {
    await using bucket = await open();
    for (const [status, code] of [
      [400, 'InvalidArgument'],
      [403, 'AccessDenied'],
      [501, 'NotImplemented'],
    ] as const) {
      server.requests.length = 0;
      first(99, { kind: 'status', status, code });
      await assert.rejects(bucket.upload('x', bytes('x')), UnavailableError);
      assert.equal(server.requests.length, 1);
    }
  });

  test('goes on where a broken answer ended, on the same version', async () => {
    await using bucket = await open();
    const big = patterned(3 * MIB);
    await bucket.upload('big', big);
    server.requests.length = 0;
    first(2, { kind: 'truncate', bytes: MIB, close: true });
    assert.ok(Buffer.from(big).equals(await gather(bucket.readStream('big'))));
    const [, second] = server.requests;
    assert.match(second?.headers.range ?? '', /^bytes=[1-9]\d*-$/);
    assert.match(second?.headers['if-match'] ?? '', /^"[0-9a-f]{32}"$/);

    first(1, { kind: 'truncate', bytes: MIB, close: true });
    const part = await bucket.read('big', { offset: 100, length: 2 * MIB });
    assert.ok(Buffer.from(big.subarray(100, 100 + 2 * MIB)).equals(part));
  });

  test('notices that an object was replaced in the middle of a read', async () => {
    await using bucket = await open();
    await bucket.upload('big', patterned(3 * MIB));
    first(1, { kind: 'truncate', bytes: MIB, close: true });
    const stream = bucket.readStream('big')[Symbol.asyncIterator]();
    await stream.next();
    await bucket.upload('big', bytes('other'));
    await assert.rejects(async () => {
      while ((await stream.next()).done !== true);
    }, /was replaced while it was read; read it again/);
  });

  test('gives up on a server that hangs before or within an answer', async () => {
    await using bucket = await open(
      `  max_retries: 2\n  http_config: {response_header_timeout: ${HANG_MS}ms}\n`,
    );
    await bucket.upload('big', patterned(3 * MIB));
    first(1, { kind: 'hang' });
    assert.equal((await bucket.read('big')).length, 3 * MIB);
    first(1, { kind: 'truncate', bytes: MIB, close: false });
    assert.equal((await bucket.read('big')).length, 3 * MIB);
    first(99, { kind: 'hang' });
    await assert.rejects(
      bucket.read('big'),
      /TimeoutError: no answer within 150 ms \(2 attempts\)$/,
    );
    await assert.rejects(bucket.attributes('big'), /cannot look up "big": no answer from/);
  });

  test('stops at once when told to, also while it hangs or waits', async () => {
    await using bucket = await open();
    first(99, { kind: 'hang' });
    const stop = new AbortController();
    const read = bucket.read('x', { signal: stop.signal });
    setTimeout(() => stop.abort(new Error('enough')), 20);
    await assert.rejects(read, /enough/);
  });

  test('knows its own conditional write after a lost answer', async () => {
    await using bucket = await open();
    first(1, { kind: 'lose-reply' });
    await bucket.upload('lease', bytes('mine'), { ifAbsent: true });
    await assert.rejects(
      bucket.upload('lease', bytes('yours'), { ifAbsent: true }),
      ConditionError,
    );
    const version = (await bucket.attributes('lease'))!.version;
    first(1, { kind: 'lose-reply' });
    await bucket.upload('lease', bytes('renewed'), { ifMatch: version });
    first(1, { kind: 'reset' });
    const late = bucket.upload('lease', bytes('late'), { ifMatch: version });
    await assert.rejects(late, ConditionError);
    assert.equal(text(await bucket.read('lease')), 'renewed');
  });
});

describe('S3 says what to check', () => {
  const failing = async (bucket: Bucket, message: RegExp) => {
    for (const work of [
      () => bucket.read('x'),
      () => bucket.attributes('x'),
      () => bucket.upload('x', bytes('x')),
      () => names(bucket, ''),
    ]) {
      await assert.rejects(work(), (thrown: Error) => {
        assert.ok(thrown instanceof UnavailableError, String(thrown));
        assert.match(thrown.message, message);
        return true;
      });
    }
    await bucket[Symbol.asyncDispose]();
  };

  test('when the bucket is missing', async () => {
    await failing(
      await open('', server.endpoint, 'nowhere'),
      /bucket "nowhere" does not exist at http:\/\/127\.0\.0\.1:\d+; check bucket, endpoint and region \(us-east-1\)/,
    );
  });

  test('when the credentials are wrong', async () => {
    const bucket = await open('  access_key: wrong\n  secret_key: wrong\n');
    await failing(bucket, /does not know the access key|access to bucket "bucket" .* is denied/);
  });

  test('when nothing listens there', async () => {
    const gone = await S3Server.start();
    const { endpoint } = gone;
    await gone[Symbol.asyncDispose]();
    const bucket = await open('  max_retries: 1\n', endpoint);
    await failing(bucket, /nothing listens at http:\/\/127\.0\.0\.1:\d+; check endpoint, its port/);
  });

  test('when the server has no TLS', async () => {
    const bucket = await openBucket(
      {
        source: 'x',
        text: `{type: S3, config: {bucket: bucket, endpoint: "${server.endpoint}", access_key: key, secret_key: s, max_retries: 1}}`,
      },
      { disk: nodeDisk, clock, random: systemRandom, log, metrics: new Metrics() },
    );
    await failing(bucket, /does not speak TLS as expected; set insecure: true/);
  });
});

test('objects carry the configured metadata, storage class and encryption', async () => {
  await using bucket = await open(
    '  put_user_metadata: {owner: me, X-Amz-Storage-Class: STANDARD_IA}\n' +
      '  sse_config: {type: SSE-KMS, kms_key_id: k1, kms_encryption_context: {a: b}}\n',
  );
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
  await using bucket = await open(
    `  part_size: 5242880\n  sse_config: {type: SSE-C, encryption_key: ${directory.path}}\n`,
  );
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

async function* streamOf(whole: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < whole.length; start += pieceBytes) {
    yield whole.subarray(start, start + pieceBytes);
    await Promise.resolve();
  }
}
