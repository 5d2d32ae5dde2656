import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { systemRandom } from '#/lib/random.ts';
import { ConditionError } from '#/objstore/bucket.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { openBucket } from '#/objstore/open.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { bucketSuite, gather, names, patterned } from '../src/objstore/testing/bucket-suite.ts';
import { hasAzurite, startAzurite } from './support/azurite.ts';
import type { Azurite } from './support/azurite.ts';
import { FaultyProxy } from './support/faulty-proxy.ts';
import type { ProxyFault } from './support/faulty-proxy.ts';

const MIB = 1024 * 1024;
const HANG_MS = 250;
const bytes = (content: string) => new TextEncoder().encode(content);
const text = (from: Uint8Array) => new TextDecoder().decode(from);

if (hasAzurite()) describe('Azure against Azurite', againstAzurite);
else {
  test('Azure against Azurite is left out: sh bin/setup --servers installs it', () => undefined);
}

function againstAzurite(): void {
  let azurite: Azurite;
  let proxy: FaultyProxy;
  let containers = 0;
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

  before(async () => {
    azurite = await startAzurite();
    proxy = await FaultyProxy.start(azurite.url);
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await azurite[Symbol.asyncDispose]();
  });
  afterEach(() => {
    proxy.clear();
    waits.length = 0;
  });

  const open = (
    config: Readonly<Record<string, unknown>> = {},
    key = azurite.key,
    url = proxy.url,
  ): Promise<Bucket> => {
    const { account } = azurite;
    const connection = {
      AccountName: account,
      AccountKey: key,
      BlobEndpoint: `${url}/${account}`,
    };
    const storage_connection_string = Object.entries(connection)
      .map((entry) => entry.join('='))
      .join(';');
    const container = `container-${++containers}`;
    return openBucket(
      {
        source: 'test',
        text: JSON.stringify({
          type: 'AZURE',
          config: { storage_account: account, container, storage_connection_string, ...config },
        }),
      },
      {
        disk: nodeDisk,
        clock,
        random: systemRandom,
        log: new MemoryLog(),
        metrics: new Metrics(),
      },
    );
  };

  /** Misbehaves on the first `times` requests that match. */
  const first = (
    times: number,
    fault: ProxyFault,
    matches: (request: IncomingMessage) => boolean = () => true,
  ): void => {
    let left = times;
    proxy.fault = (request) => (matches(request) && left-- > 0 ? fault : undefined);
  };

  bucketSuite('azurite', { open: () => open(), listed: 300 });

  test('a container of several pages is listed as a whole', async () => {
    await using bucket = await open();
    const all = Array.from({ length: 5100 }, (_, i) => String(i).padStart(5, '0'));
    const rest = all.values();
    const worker = async () => {
      for (const name of rest) await bucket.upload(name, bytes('1'));
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    proxy.seen.length = 0;
    assert.deepEqual(await names(bucket, '', { recursive: true }), all);
    assert.equal(proxy.seen.length, 2);
  });

  test('large contents and long streams go up in blocks and come back', async () => {
    await using bucket = await open();
    const big = patterned(17 * MIB + 1);
    await bucket.upload('known', big);
    await bucket.upload('stream', streamOf(big), { ifAbsent: true });
    for (const object of ['known', 'stream']) {
      assert.equal((await bucket.attributes(object))?.sizeBytes, big.length);
      assert.ok(Buffer.from(big).equals(await gather(bucket.readStream(object))));
    }
    await assert.rejects(bucket.upload('known', big, { ifAbsent: true }), ConditionError);
    await assert.rejects(bucket.upload('known', big, { ifMatch: '"0x1"' }), ConditionError);
    const broken = (async function* () {
      yield big;
      await Promise.resolve();
      throw new Error('the source broke');
    })();
    await assert.rejects(bucket.upload('broken', broken), /the source broke/);
    assert.deepEqual(await names(bucket, ''), ['known', 'stream']);
  });

  test('blocks are complete although the answer to their list was lost', async () => {
    await using bucket = await open();
    await bucket.upload('x', bytes('x'));
    const isList = ({ method, url }: IncomingMessage) =>
      method === 'PUT' && url?.includes('comp=blocklist') === true;
    first(1, { kind: 'lose-reply' }, isList);
    await bucket.upload('new', patterned(9 * MIB), { ifAbsent: true });
    const { version } = (await bucket.attributes('x'))!;
    first(1, { kind: 'lose-reply' }, isList);
    await bucket.upload('x', patterned(9 * MIB), { ifMatch: version });
    assert.equal((await bucket.attributes('x'))?.sizeBytes, 9 * MIB);
  });

  test('retries 429, 503, 500 and lost connections, waiting longer each time', async () => {
    await using bucket = await open();
    await bucket.upload('x', bytes('content'));
    const faults: ProxyFault[] = [
      { kind: 'status', status: 429 },
      { kind: 'status', status: 503 },
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

  test('gives up after the configured retries, and waits as configured', async () => {
    const pipeline_config = { max_tries: 2, retry_delay: '1s', max_retry_delay: '3s' };
    await using bucket = await open({ pipeline_config });
    await bucket.upload('x', bytes('x'));
    proxy.seen.length = 0;
    first(99, { kind: 'status', status: 503, retryAfter: 9 });
    await assert.rejects(bucket.attributes('x'), /answered 503 .* \(3 attempts\)$/);
    assert.equal(proxy.seen.length, 3);
    assert.deepEqual(waits, [3000, 3000]);
  });

  test('goes on where a broken answer ended, on the same version', async () => {
    await using bucket = await open();
    const big = patterned(3 * MIB);
    await bucket.upload('big', big);
    proxy.seen.length = 0;
    first(2, { kind: 'truncate', bytes: MIB, close: true });
    assert.ok(Buffer.from(big).equals(await gather(bucket.readStream('big'))));
    const [, second] = proxy.seen;
    assert.match(String(second?.headers['x-ms-range']), /^bytes=[1-9]\d*-$/);
    assert.notEqual(second?.headers['if-match'], undefined);

    first(1, { kind: 'truncate', bytes: MIB, close: true });
    const stream = bucket.readStream('big')[Symbol.asyncIterator]();
    await stream.next();
    await bucket.upload('big', bytes('other'));
    await assert.rejects(async () => {
      while ((await stream.next()).done !== true);
    }, /was replaced while it was read; read it again/);
  });

  test('gives up on a server that hangs before or within an answer', async () => {
    const pipeline_config = { max_tries: 1, try_timeout: `${HANG_MS}ms` };
    await using bucket = await open({ pipeline_config });
    await bucket.upload('big', patterned(3 * MIB));
    first(1, { kind: 'hang' });
    assert.equal((await bucket.read('big')).length, 3 * MIB);
    first(1, { kind: 'truncate', bytes: MIB, close: false });
    assert.equal((await bucket.read('big')).length, 3 * MIB);
    first(99, { kind: 'hang' });
    await assert.rejects(bucket.read('big'), /TimeoutError: no answer within 250 ms/);
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
    await bucket.upload('x', bytes('x'));
    first(1, { kind: 'lose-reply' });
    await bucket.upload('lease', bytes('mine'), { ifAbsent: true });
    const yours = bucket.upload('lease', bytes('yours'), { ifAbsent: true });
    await assert.rejects(yours, ConditionError);
    const { version } = (await bucket.attributes('lease'))!;
    first(1, { kind: 'lose-reply' });
    await bucket.upload('lease', bytes('renewed'), { ifMatch: version });
    first(1, { kind: 'reset' });
    await assert.rejects(
      bucket.upload('lease', bytes('late'), { ifMatch: version }),
      ConditionError,
    );
    assert.equal(text(await bucket.read('lease')), 'renewed');
  });

  const failing = async (bucket: Bucket, message: RegExp) => {
    for (const work of [
      () => bucket.read('x'),
      () => bucket.attributes('x'),
      () => bucket.upload('x', bytes('x')),
      () => bucket.upload('x', patterned(9 * MIB)),
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

  test('a missing container is created, or is an error that says so', async () => {
    await using created = await open();
    assert.deepEqual(await names(created, ''), []);
    await using forReading = await open();
    assert.equal(await forReading.attributes('x'), undefined);
    await using forBlocks = await open();
    await forBlocks.upload('x', patterned(9 * MIB));
    const config = { storage_create_container: false, container: 'no-such-container' };
    await failing(
      await open(config),
      /container "no-such-container" does not exist at http:\/\/127\.0\.0\.1:\d+; check container/,
    );
  });

  test('wrong credentials and a dead server say what to check', async () => {
    const key = Buffer.from('another').toString('base64');
    // Azure itself says the first, Azurite the second.
    const message = /does not accept the credentials|is denied \(.*\); check the key/;
    await failing(await open({}, key), message);
    const gone = await FaultyProxy.start(azurite.url);
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    const bucket = await open({ pipeline_config: { max_tries: 1 } }, azurite.key, url);
    await failing(bucket, /nothing listens at http:\/\/127\.0\.0\.1:\d+; check endpoint/);
  });
}

async function* streamOf(whole: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < whole.length; start += 777_777) {
    yield whole.subarray(start, start + 777_777);
    await Promise.resolve();
  }
}
