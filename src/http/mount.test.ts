import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mount } from './mount.ts';
import { Params } from './params.ts';
import type { HttpRequest, Route } from './server.ts';

function requestOf(path: string, method = 'GET'): HttpRequest {
  return {
    method,
    path,
    pathParams: {},
    params: new Params(new URLSearchParams()),
    header: () => '',
    peer: '127.0.0.1',
    signal: new AbortController().signal,
  };
}

test('a mount serves what is mounted below its prefix, for as long as it is', async () => {
  const mount = new Mount('part');
  const [toPage, below] = mount.routes;
  assert.deepEqual([toPage!.path, below!.path], ['/part', '/part/*']);
  const ask = async (path: string, method?: string) =>
    (await below!.handle(requestOf(path, method))).status;
  assert.equal(await ask('/part/'), 503);
  const route: Route = {
    methods: ['POST'],
    path: '/api/mark',
    handler: 'mark',
    handle: () => Promise.resolve({ status: 204, body: '' }),
  };
  {
    await using _ = mount.mount([route]);
    assert.equal(await ask('/part/api/mark', 'POST'), 204);
    assert.equal(await ask('/part/api/mark'), 405);
    assert.equal(await ask('/part/'), 404);
  }
  assert.equal(await ask('/part/api/mark', 'POST'), 503);
});
