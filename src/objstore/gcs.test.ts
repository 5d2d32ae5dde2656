import assert from 'node:assert/strict';
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
import { GcsServer } from './testing/gcs-server.ts';
import type { Misbehaviour, SeenRequest } from './testing/s3-server.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (from: Uint8Array) => new TextDecoder().decode(from);
const MIB = 1024 * 1024;
const HANG_MS = 150;

let server: GcsServer;
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
  waits.length = 0;
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

describe('GCS under faults', () => {
  test('retries 429, 503, 500, rate limits and lost connections', async () => {
    await using bucket = await open();
    await bucket.upload('x', bytes('content'));
    const faults: Misbehaviour[] = [
      { kind: 'status', status: 429, code: 'rateLimitExceeded' },
      { kind: 'status', status: 403, code: 'userRateLimitExceeded' },
      { kind: 'status', status: 503, code: 'backendError' },
      { kind: 'status', status: 500 },
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

  test('gives up after the configured attempts, does as Retry-After says', async () => {
    await using bucket = await open({ max_retries: 3 });
    first(99, { kind: 'status', status: 503, code: 'backendError', retryAfter: 4 });
    await assert.rejects(bucket.read('x'), (thrown: Error) => {
      assert.ok(thrown instanceof UnavailableError);
      assert.match(
        thrown.message,
        /^cannot read "x": http:\/\/127\.0\.0\.1:\d+ answered 503 backendError: .* \(3 attempts\)$/,
      );
      return true;
    });
    assert.deepEqual(waits, [4000, 4000]);
    await using once = await open({ max_retries: 1 });
    await assert.rejects(once.read('x'), /answered 503/);
    assert.equal(server.requests.length, 4);
  });

  test('goes on where a broken answer ended, on the same generation', async () => {
    await using bucket = await open();
    const big = patterned(3 * MIB);
    await bucket.upload('big', big);
    server.requests.length = 0;
    first(2, { kind: 'truncate', bytes: MIB, close: true });
    assert.ok(Buffer.from(big).equals(await gather(bucket.readStream('big'))));
    const [, second] = server.requests;
    assert.match(second?.headers.range ?? '', /^bytes=[1-9]\d*-$/);
    assert.match(second?.query.get('ifGenerationMatch') ?? '', /^\d+$/);

    first(1, { kind: 'truncate', bytes: MIB, close: true });
    const stream = bucket.readStream('big')[Symbol.asyncIterator]();
    await stream.next();
    await bucket.upload('big', bytes('other'));
    await assert.rejects(async () => {
      while ((await stream.next()).done !== true);
    }, /was replaced while it was read; read it again/);
  });

  test('gives up on a server that hangs before or within an answer', async () => {
    const http_config = { response_header_timeout: `${HANG_MS}ms` };
    await using bucket = await open({ max_retries: 2, http_config });
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
  });

  test('stops at once when told to, also while it hangs', async () => {
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
    const yours = bucket.upload('lease', bytes('yours'), { ifAbsent: true });
    await assert.rejects(yours, ConditionError);
    const version = (await bucket.attributes('lease'))!.version;
    first(1, { kind: 'lose-reply' });
    await bucket.upload('lease', bytes('renewed'), { ifMatch: version });
    first(1, { kind: 'reset' });
    const late = bucket.upload('lease', bytes('late'), { ifMatch: version });
    await assert.rejects(late, ConditionError);
    assert.equal(text(await bucket.read('lease')), 'renewed');
  });
});

describe('GCS says what to check', () => {
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
    const message = /bucket "nowhere" does not exist at http:\/\/127\.0\.0\.1:\d+; check bucket/;
    await failing(await open({ bucket: 'nowhere' }), message);
  });

  test('when the credentials are wrong or have no rights', async () => {
    server.token = 'secret';
    await failing(await open(), /does not accept the credentials: .*; check service_account or/);
    first(99, { kind: 'status', status: 403, code: 'forbidden' });
    await failing(await open(), /access to bucket "bucket" is denied: .*; check the rights of/);
  });

  test('when there are no credentials', async () => {
    const account = { type: 'service_account', client_email: 'a@b', private_key: 'no key' };
    const bucket = await open({ service_account: JSON.stringify(account) });
    await failing(bucket, /no credentials for http:.*; check service_account, GOOGLE_APPLICATION_/);
  });

  test('when nothing listens there', async () => {
    const gone = await GcsServer.start();
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    const bucket = await open({ max_retries: 1 }, url);
    await failing(bucket, /nothing listens at http:\/\/127\.0\.0\.1:\d+$/);
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

async function* streamOf(whole: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < whole.length; start += pieceBytes) {
    yield whole.subarray(start, start + pieceBytes);
    await Promise.resolve();
  }
}
