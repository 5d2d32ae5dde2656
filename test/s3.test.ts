import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { systemRandom } from '#/lib/random.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import { openBucket } from '#/objstore/open.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { bucketSuite, gather, names, patterned } from '../src/objstore/testing/bucket-suite.ts';
import { failsWith, streamOf } from '../src/objstore/testing/remote-suite.ts';
import { hasRadosgw, startRadosgw } from './support/radosgw.ts';
import type { Radosgw } from './support/radosgw.ts';

const MIB = 1024 * 1024;

if (hasRadosgw()) describe('S3 against radosgw', againstRadosgw);
else {
  test('S3 against radosgw is left out: sh bin/setup --servers installs it', () => undefined);
}

function againstRadosgw(): void {
  let gateway: Radosgw;
  let client: S3Client;
  let buckets = 0;

  before(async () => {
    gateway = await startRadosgw();
    client = new S3Client({
      endpoint: `http://${gateway.endpoint}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: gateway.accessKey, secretAccessKey: gateway.secretKey },
    });
  });
  after(async () => {
    client.destroy();
    await gateway[Symbol.asyncDispose]();
  });

  const newBucket = async () => {
    const bucket = `bucket-${++buckets}`;
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    return bucket;
  };
  const open = (bucket: string, config: Readonly<Record<string, unknown>> = {}): Promise<Bucket> =>
    openBucket(
      {
        source: 'test',
        text: JSON.stringify({
          type: 'S3',
          config: {
            bucket,
            endpoint: gateway.endpoint,
            insecure: true,
            access_key: gateway.accessKey,
            secret_key: gateway.secretKey,
            max_retries: 2,
            ...config,
          },
        }),
      },
      {
        disk: nodeDisk,
        clock: systemClock,
        random: systemRandom,
        log: new MemoryLog(),
        metrics: new Metrics(),
      },
    );

  bucketSuite('radosgw', {
    open: async () => open(await newBucket()),
    // It lets several writers of one version win.
    conditionalReplace: false,
  });

  test('a content of more than 64 MiB goes up in parts and comes back', async () => {
    const name = await newBucket();
    await using bucket = await open(name);
    const big = patterned(70 * MIB + 1);
    await bucket.upload('known', big);
    await bucket.upload('stream', streamOf(big));
    for (const object of ['known', 'stream']) {
      assert.equal((await bucket.attributes(object))?.sizeBytes, big.length);
      assert.ok(Buffer.from(big).equals(await gather(bucket.readStream(object))));
    }
    const edge = await bucket.read('known', { offset: 64 * MIB - 5, length: 10 });
    assert.deepEqual([...edge], [...big.subarray(64 * MIB - 5, 64 * MIB + 5)]);
    const broken = (async function* () {
      yield big;
      await Promise.resolve();
      throw new Error('the source broke');
    })();
    await assert.rejects(bucket.upload('broken', broken), /the source broke/);
    const left = await client.send(new ListMultipartUploadsCommand({ Bucket: name }));
    assert.equal(left.Uploads?.length ?? 0, 0);
    assert.deepEqual(await names(bucket, ''), ['known', 'stream']);
  });

  test('wrong credentials and a missing bucket say what to check', async () => {
    const name = await newBucket();
    const cases: readonly (readonly [Promise<Bucket>, RegExp])[] = [
      [
        open(name, { secret_key: 'wrong' }),
        /rejects the signature; check secret_key|is denied; check the credentials/,
      ],
      [
        open(name, { access_key: 'wrong' }),
        /does not know the access key|is denied; check the credentials/,
      ],
      [open('no-such-bucket'), /bucket "no-such-bucket" does not exist at http:/],
    ];
    for (const [opening, message] of cases) {
      await failsWith(await opening, message);
    }
  });
}
