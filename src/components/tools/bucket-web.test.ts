import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpClient, readAll } from '#/http/client.ts';
import { systemClock } from '#/lib/clock.ts';
import { bucketToolInMemory } from '../testing/bucket-tool.ts';
import { serveBlockViewer } from '../tools-bucket.ts';

test('tools bucket web shows the blocks of a bucket below its prefix, and marks none if told so', async () => {
  const { tool, addBlock } = bucketToolInMemory();
  const meta = await addBlock({ slot: 0 });
  const stop = new AbortController();
  const served = serveBlockViewer(
    {
      http: { address: '127.0.0.1:10902', gracePeriodMs: 0 },
      label: '',
      adminOperations: false,
      cors: true,
      routePrefix: '/bucket/',
      maxAgeMs: 60_000,
      timeoutMs: 60_000,
      minTime: () => Number.NEGATIVE_INFINITY,
      maxTime: () => Number.POSITIVE_INFINITY,
      status: { version: 'test', startedAtMs: 0, flags: {} },
    },
    { ...tool, signal: stop.signal },
  );
  using client = new HttpClient({ net: tool.net, clock: systemClock, userAgent: 'test' });
  while (!tool.probe.isReady) await systemClock.sleep(1);
  const ask = async (path: string, method = 'GET') => {
    const url = new URL(path, 'http://127.0.0.1:10902');
    const response = await client.send({ url, method }, AbortSignal.timeout(10_000));
    const text = (await readAll(response, 2 ** 20)).toString();
    return { status: response.status, location: response.headers.location, text };
  };
  assert.equal((await ask('/')).location, '/bucket/');
  assert.equal((await ask('/bucket')).location, '/bucket/');
  const page = await ask('/bucket/');
  assert.equal(page.status, 200);
  assert.ok(page.text.includes(`<code>${meta.ulid}</code>`));
  const { data } = JSON.parse((await ask('/bucket/api/v1/blocks')).text) as {
    data: { blocks: { ulid: string }[] };
  };
  assert.deepEqual(
    data.blocks.map(({ ulid }) => ulid),
    [meta.ulid],
  );
  const marked = await ask('/bucket/api/v1/blocks/mark', 'POST');
  assert.match(marked.text, /"error":"Admin operations are disabled"/);
  stop.abort();
  assert.equal(await served, 0);
});
