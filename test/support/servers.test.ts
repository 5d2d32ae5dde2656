import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findProgram, getJson, startPrometheus } from './servers.ts';

const missing = findProgram('prometheus') === undefined && 'no prometheus on this machine';

test('a real Prometheus starts, answers and ends', { skip: missing }, async () => {
  let url: string;
  {
    await using prometheus = await startPrometheus({ externalLabels: { replica: 'a' } });
    url = `${prometheus.url}/api/v1/query?query=1%2B1`;
    const answer = (await getJson(url)) as { data: { result: [number, string] } };
    assert.equal(answer.data.result[1], '2');
  }
  await assert.rejects(fetch(url));
});
