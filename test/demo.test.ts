import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { startProcess } from '#/components/child-process.ts';
import { hasRadosgw, startRadosgw } from './support/radosgw.ts';
import { findProgram, temporaryDirectory } from './support/servers.ts';

const hindsight = resolve(import.meta.dirname, '../bin/hindsight');
const missing = findProgram('prometheus') === undefined && 'no prometheus on this machine';

/** Runs the demo's checks; gives their lines. */
async function demoLines(...args: string[]): Promise<string[]> {
  await using directory = await temporaryDirectory();
  await using demo = await startProcess({
    command: hindsight,
    args: ['demo', '--check', '--days=4', `--data-dir=${directory.path}/demo`, ...args],
  });
  const code = await demo.exited;
  assert.equal(code, 0, demo.output);
  return demo.output.split('\n').filter((line) => /^(ok|FAIL)/.test(line));
}

test('the demo answers as it must, through outages and back', { skip: missing }, async () => {
  const lines = await demoLines();
  assert.equal(lines.length, 9, lines.join('\n'));
});

const withoutS3 = !hasRadosgw() && 'no radosgw on this machine';

test(
  'the demo answers as it must with its bucket on S3',
  { skip: missing || withoutS3 },
  async () => {
    await using gateway = await startRadosgw();
    const { endpoint, accessKey, secretKey } = gateway;
    const client = new S3Client({
      endpoint: `http://${endpoint}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    });
    await client.send(new CreateBucketCommand({ Bucket: 'demo' }));
    client.destroy();
    const lines = await demoLines(`--s3=http://${accessKey}:${secretKey}@${endpoint}/demo`);
    assert.equal(lines.length, 9, lines.join('\n'));
  },
);

test('without a Prometheus the demo still serves its history', async () => {
  const lines = await demoLines('--prometheus=none');
  assert.equal(lines.length, 2, lines.join('\n'));
});
