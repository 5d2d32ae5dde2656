import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { nodeDisk } from '#/lib/disk.ts';
import { systemRandom } from '#/lib/random.ts';
import { ConditionError } from '#/objstore/bucket.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { openBucket } from '#/objstore/open.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { bucketSuite, gather, names, patterned } from '../src/objstore/testing/bucket-suite.ts';
import { ImpatientClock } from '../src/objstore/testing/impatient-clock.ts';
import { failsWith, remoteSuite, streamOf } from '../src/objstore/testing/remote-suite.ts';
import { hasAzurite, startAzurite } from './support/azurite.ts';
import type { Azurite } from './support/azurite.ts';
import { FaultyProxy } from './support/faulty-proxy.ts';
import type { ProxyFault } from './support/faulty-proxy.ts';

const MIB = 1024 * 1024;
const bytes = (content: string) => new TextEncoder().encode(content);

if (hasAzurite()) describe('Azure against Azurite', againstAzurite);
else {
  test('Azure against Azurite is left out: sh bin/setup --servers installs it', () => undefined);
}

function againstAzurite(): void {
  let azurite: Azurite;
  let proxy: FaultyProxy;
  let containers = 0;
  const clock = new ImpatientClock();

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
    clock.waits.length = 0;
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

  remoteSuite('Azure', {
    open: (config) => open(config),
    attempts: (count) => ({ pipeline_config: { max_tries: count - 1 } }),
    server: () => ({
      fail: first,
      requests: () => proxy.seen,
      forget: () => (proxy.seen.length = 0),
    }),
    clock,
    rangeHeader: 'x-ms-range',
    throttles: [{ kind: 'status', status: 429 }],
  });

  test('gives up after the configured retries, and waits as configured', async () => {
    const pipeline_config = { max_tries: 2, retry_delay: '1s', max_retry_delay: '3s' };
    await using bucket = await open({ pipeline_config });
    await bucket.upload('x', bytes('x'));
    proxy.seen.length = 0;
    first(99, { kind: 'status', status: 503 });
    await assert.rejects(bucket.attributes('x'), /answered 503 .* \(3 attempts\)$/);
    assert.equal(proxy.seen.length, 3);
    assert.equal(clock.waits.length, 2);
    assert.ok(clock.waits.every((ms) => ms >= 1000 && ms <= 3000));
  });

  test('a missing container is created, or is an error that says so', async () => {
    await using created = await open();
    assert.deepEqual(await names(created, ''), []);
    await using forReading = await open();
    assert.equal(await forReading.attributes('x'), undefined);
    await using forBlocks = await open();
    await forBlocks.upload('x', patterned(9 * MIB));
    const config = { storage_create_container: false, container: 'no-such-container' };
    await failsWith(
      await open(config),
      /container "no-such-container" does not exist at http:\/\/127\.0\.0\.1:\d+; check container/,
    );
  });

  test('wrong credentials and a dead server say what to check', async () => {
    const key = Buffer.from('another').toString('base64');
    // Azure itself says the first, Azurite the second.
    const message = /does not accept the credentials|is denied \(.*\); check the key/;
    await failsWith(await open({}, key), message);
    const gone = await FaultyProxy.start(azurite.url);
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    const bucket = await open({ pipeline_config: { max_tries: 1 } }, azurite.key, url);
    await failsWith(bucket, /nothing listens at http:\/\/127\.0\.0\.1:\d+; check endpoint/);
  });
}
