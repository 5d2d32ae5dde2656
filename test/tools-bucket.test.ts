import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { startProcess } from '#/components/child-process.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { Labels } from '#/model/labels.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { S3Server } from '../src/objstore/testing/s3-server.ts';
import { temporaryDirectory } from './support/servers.ts';

const hindsight = resolve(import.meta.dirname, '../bin/hindsight');
const IDS = ['01HWRY2K805NNDTFEKG2HVJKGG', '01HWS4YAG018KARSVDJK4JCC85'];
const HOURS = 3_600_000;

/** `hindsight tools bucket …`: its exit code, and everything that it wrote. */
async function tool(config: object, ...args: readonly string[]) {
  const objstore = `--objstore.config=${JSON.stringify(config)}`;
  await using child = await startProcess({
    command: hindsight,
    args: ['tools', 'bucket', objstore, ...args, '--log.level=error'],
  });
  const code = await child.exited;
  return { code, output: child.output };
}

async function writeBlocks(directory: string): Promise<void> {
  for (const [slot, ulid] of IDS.entries()) {
    const builder = new BlockBuilder();
    const samples = builder.samples(Labels.fromObject({ __name__: 'up' }));
    for (let i = 0; i < 100; i++) samples.pushFloat(slot * 2 * HOURS + i * 1000, i);
    await builder.write(nodeDisk, directory, { ulid });
  }
}

describe('tools bucket', { timeout: 120_000 }, () => {
  for (const type of ['FILESYSTEM', 'S3']) {
    test(`uploads, lists, verifies, marks and replicates over ${type}`, async () => {
      await using directory = await temporaryDirectory();
      await using server = await S3Server.start();
      const data = resolve(directory.path, 'data');
      const copy = { type: 'FILESYSTEM', config: { directory: resolve(directory.path, 'copy') } };
      await nodeDisk.makeDirectory(copy.config.directory);
      await nodeDisk.makeDirectory(resolve(directory.path, 'bucket'));
      await writeBlocks(data);
      const config =
        type === 'S3'
          ? {
              bucket: 'bucket',
              endpoint: server.endpoint,
              insecure: true,
              region: 'us-east-1',
              access_key: 'key',
              secret_key: 'secret',
            }
          : { directory: resolve(directory.path, 'bucket') };
      const bucket = { type, config };

      const uploaded = await tool(bucket, 'upload-blocks', `--path=${data}`, '--label=cluster="a"');
      assert.deepEqual(uploaded, { code: 0, output: '' });
      const ids = `${IDS.join('\n')}\n`;
      assert.deepEqual(await tool(bucket, 'ls'), { code: 0, output: ids });
      const verified = await tool(bucket, 'verify', '-i', 'block_files', '-i', 'block_bytes');
      assert.deepEqual(verified, { code: 0, output: '2 blocks verified, 0 issues\n' });
      const mark = ['--marker=deletion-mark.json', '--details=test'];
      const marked = await tool(bucket, 'mark', `--id=${IDS[0]}`, ...mark);
      assert.deepEqual(marked, { code: 0, output: '' });
      const replicated = await tool(
        bucket,
        'replicate',
        '--single-run',
        '--ignore-marked-for-deletion',
        '--http-address=127.0.0.1:0',
        `--objstore-to.config=${JSON.stringify(copy)}`,
      );
      assert.deepEqual(replicated, { code: 0, output: '' });
      assert.deepEqual(await tool(copy, 'ls'), { code: 0, output: `${IDS[1]}\n` });

      const downsampled = await tool(
        copy,
        'downsample',
        '--single-run',
        '--downsampling.age-5m=1m',
        `--data-dir=${resolve(directory.path, 'work')}`,
        '--http-address=127.0.0.1:0',
      );
      assert.deepEqual(downsampled, { code: 0, output: '' });
      const template = ['ls', '--output={{.Thanos.Downsample.Resolution}}'];
      assert.deepEqual(await tool(copy, ...template), { code: 0, output: '0\n300000\n' });
      const retain = ['retention', '--consistency-delay=0s', '--retention.resolution-raw=1d'];
      const planned = await tool(copy, ...retain, '--dry-run', '--downsampling.age-5m=1m');
      assert.equal(
        planned.output,
        `${IDS[1]} would be marked for deletion: block exceeding retention of 24h0m0s\n1 blocks would be marked for deletion, 0 held\n`,
      );
      assert.deepEqual(await tool(copy, ...retain), { code: 0, output: '' });
      const delays = ['--delete-delay=0s', '--consistency-delay=0s'];
      assert.deepEqual(await tool(copy, 'cleanup', ...delays), { code: 0, output: '' });
      assert.deepEqual(await tool(copy, ...template), { code: 0, output: '300000\n' });
    });
  }

  test('imports a text and the blocks of a Prometheus, once', async () => {
    await using directory = await temporaryDirectory();
    const bucket = { type: 'FILESYSTEM', config: { directory: resolve(directory.path, 'bucket') } };
    await nodeDisk.makeDirectory(bucket.config.directory);
    const text = resolve(directory.path, 'samples.txt');
    await nodeDisk.write(text, Buffer.from('# TYPE up gauge\nup 1 40.5\nup 0 7250\n# EOF\n'));
    const common = ['import', '--label=cluster="a"', `--data-dir=${directory.path}/work`];

    const dry = await tool(bucket, ...common, `--openmetrics=${text}`, '--dry-run');
    assert.match(dry.output, /^\w{26} \[1970-01-01T00:00:40.500Z, .*: would be uploaded\n/);
    assert.equal((await tool(bucket, 'ls')).output, '');
    const imported = await tool(bucket, ...common, `--openmetrics=${text}`);
    const ids = [...imported.output.matchAll(/^(\w{26}) .* 1 samples, 1 series: uploaded$/gm)];
    assert.equal(ids.length, 2);
    const again = await tool(bucket, ...common, `--openmetrics=${text}`);
    assert.match(again.output, new RegExp(`^${ids[0]![1]} .*: is in the bucket already\n`));

    const data = resolve(directory.path, 'prometheus');
    await writeBlocks(data);
    const refused = await tool(bucket, ...common, `--tsdb.path=${data}`);
    assert.equal(refused.code, 2);
    assert.match(refused.output, /nothing was uploaded: .* overlaps /);
    const other = await tool(bucket, 'import', '--label=cluster="b"', `--tsdb.path=${data}`);
    assert.equal(other.code, 0);
    assert.equal((await tool(bucket, 'ls')).output.split('\n').length, 5);
    await nodeDisk.write(text, Buffer.from('up 1\n# EOF\n'));
    const wrong = await tool(bucket, ...common, `--openmetrics=${text}`);
    assert.match(
      wrong.output,
      /samples.txt:1:5: found the end of the line, expected a space and a/,
    );
  });
});
