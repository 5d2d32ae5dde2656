import assert from 'node:assert/strict';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { startProcess } from '#/components/child-process.ts';
import {
  eventually,
  findProgram,
  freePort,
  getJson,
  startPrometheus,
  temporaryDirectory,
} from './support/servers.ts';

const hindsight = resolve(import.meta.dirname, '../bin/hindsight');
const skip = findProgram('prometheus') === undefined && 'no prometheus on this machine';

interface Answer {
  readonly data: { readonly result: readonly { readonly value: readonly [number, string] }[] };
  readonly warnings?: readonly string[];
}

describe('hindsight all', { skip }, () => {
  test('serves a Prometheus and the blocks that it uploaded, in one process', async () => {
    await using directory = await temporaryDirectory();
    const port = await freePort();
    await using prometheus = await startPrometheus({
      externalLabels: { replica: 'a' },
      config: `scrape_configs: [{job_name: own, static_configs: [{targets: ['127.0.0.1:${port}']}]}]`,
      flags: ['--storage.tsdb.min-block-duration=10s', '--storage.tsdb.max-block-duration=10s'],
    });
    const url = `http://127.0.0.1:${port}`;
    await using all = await startProcess({
      command: hindsight,
      args: [
        'all',
        `--prometheus.url=${prometheus.url}`,
        `--tsdb.path=${join(prometheus.directory, 'data')}`,
        `--data-dir=${directory.path}`,
        '--query.replica-label=replica',
        '--sync-block-duration=2s',
        `--http-address=127.0.0.1:${port}`,
        `--grpc-address=127.0.0.1:0`,
      ],
      readyUrl: `${url}/-/ready`,
    });
    const count = async (params: Record<string, string>) => {
      const answer = (await getJson(
        `${url}/api/v1/query?${new URLSearchParams(params).toString()}`,
      )) as Answer;
      return Number(answer.data.result[0]?.value[1] ?? 0);
    };
    const live = await eventually('live samples', async () => {
      return (await count({ query: 'count(up)' })) || undefined;
    });
    assert.equal(live, 1);
    const uploaded = await eventually(
      'samples from the bucket',
      async () => {
        const query = 'count_over_time(up[10m])';
        const params = { query, 'storeMatch[]': '{__address__="store.inside:10901"}' };
        // The first block may have begun just before it was cut.
        const samples = await count(params);
        return samples >= 5 ? samples : undefined;
      },
      90_000,
    );
    assert.ok(uploaded >= 5, String(uploaded));
    const page = await fetch(`${url}/compact/`);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<h1>Hindsight compactor<\/h1>/);
    const status = (await getJson(`${url}/compact/api/v1/compact/status`)) as {
      data: { queues: { name: string; trouble?: unknown }[] };
    };
    const troubles = status.data.queues.map(({ name, trouble }) => [name, trouble]);
    assert.deepEqual(troubles, [
      ['series deletion', undefined],
      ['compaction', undefined],
      ['downsampling', undefined],
      ['cleaning', undefined],
    ]);
    assert.equal(all.isRunning, true);
    await all.stop();
    assert.equal(await all.exited, 0, all.output);
  });

  test('refuses paths that do not pair up with Prometheus servers', async () => {
    await using all = await startProcess({
      command: hindsight,
      args: ['all', '--tsdb.path=/data', '--prometheus.url=http://a', '--prometheus.url=http://b'],
    });
    assert.equal(await all.exited, 2);
    assert.match(all.output, /--tsdb.path: given 1 times for 2 of --prometheus.url/);
  });
});
