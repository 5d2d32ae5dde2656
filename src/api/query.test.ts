import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Params } from '#/http/params.ts';
import { Gate } from '#/lib/gate.ts';
import { ProcessMemory } from '#/lib/process-memory.ts';
import { Labels } from '#/model/labels.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import { MemoryQueryable } from '#/storage/memory-queryable.ts';
import type { Queryable } from '#/storage/queryable.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import type { QueryApi } from './query-api.ts';
import { queryRoutes } from './query.ts';

/** What Thanos 0.43 answers for a node: its members, all but the name left out when empty. */
const thanosMembers = ['name', 'executionTime', 'peakSamples', 'totalSamples', 'fanout'];

interface Node {
  readonly name: string;
  readonly executionTime?: string;
  readonly children?: readonly Node[];
  readonly [member: string]: unknown;
}

interface Reply {
  readonly status: string;
  readonly error?: string;
  readonly data: Node & { readonly analysis: Node };
}

function newApi(maxSteps: number): QueryApi {
  const storage = new MemoryQueryable();
  const samples = storage.samples(Labels.fromObject({ __name__: 'x', job: 'a' }));
  for (let time = 0; time <= 600_000; time += 15_000) samples.pushFloat(time, time);
  const source = { durationMs: 3, bytes: 10, responses: 1, series: 1, chunks: 1, samples: 41 };
  const queryable: Queryable = {
    labelNames: (request) => storage.labelNames(request),
    labelValues: (name, request) => storage.labelValues(name, request),
    select: (request, { onSource }) => {
      onSource?.({ address: '127.0.0.1:1', ...source });
      return storage.select(request);
    },
  };
  return {
    engine: new Engine({
      lookbackMs: 300_000,
      maxSamples: 0,
      defaultStepMs: () => 60_000,
      features: stableEngineFeatures,
    }),
    querier: { queryable: () => queryable },
    gate: new Gate(20),
    now: () => 600_000,
    memory: new ProcessMemory({ what: 'all queries', limitBytes: Number.POSITIVE_INFINITY }),
    queryMemoryBytes: Number.POSITIVE_INFINITY,
    timeoutMs: 10_000,
    maxSteps,
    slowQueries: { log: new MemoryLog(), longerThanMs: 0, now: () => 0 },
    replicaLabels: [],
    algorithm: 'sticky',
    partialResponse: true,
    autoDownsampling: false,
    lookbackMs: () => 300_000,
    defaultStepMs: 1000,
    metadataRangeMs: 0,
    tenantHeader: 'THANOS-TENANT',
    defaultTenant: 'default-tenant',
  };
}

async function ask(
  name: string,
  params: Readonly<Record<string, string>>,
  maxSteps = 11_000,
): Promise<Reply> {
  const route = queryRoutes(newApi(maxSteps)).find(({ path }) => path === `/api/v1/${name}`)!;
  const { body } = await route.handle({
    method: 'GET',
    path: route.path,
    pathParams: {},
    params: new Params(new URLSearchParams(params)),
    header: () => '',
    peer: '127.0.0.1',
    signal: new AbortController().signal,
  });
  const text = typeof body === 'string' ? body : [...(body as Iterable<string>)].join('');
  return JSON.parse(text) as Reply;
}

const everyNode = (node: Node): Node[] => [node, ...(node.children ?? []).flatMap(everyNode)];
const range = { start: '0', end: '600', step: '60' };
const rate = 'sum by (job) (rate(x[5m]))';

describe('/api/v1/query_explain', () => {
  test("gives Thanos's tree, and what is asked of storage", async () => {
    const { data } = await ask('query_explain', { query: rate, max_source_resolution: '1h' });
    assert.deepEqual(
      everyNode(data).map(({ name }) => name.split(' ', 2).join(' ')),
      ['[aggregate] sum', '[range-call] rate'],
    );
    const leaf = data.children![0]!;
    assert.equal('children' in leaf, false);
    assert.deepEqual(leaf['position'], { start: 14, end: 25 });
    assert.deepEqual(leaf['select'], {
      matchers: '{__name__="x"}',
      minTime: 300_001,
      maxTime: 600_000,
      step: 0,
      range: 300_000,
      func: 'rate',
      maxResolution: 150_000,
      aggregates: ['counter'],
    });
    assert.ok(Array.isArray(data['passes']) && typeof data['logicalPlan'] === 'string');
  });

  test('knows the steps of a range', async () => {
    const { data } = await ask('query_range_explain', { query: 'x', ...range });
    assert.deepEqual(data['steps'], { start: 0, step: 60_000, count: 11 });
  });

  test('refuses what the query is refused for', async () => {
    const { error } = await ask('query_explain', { query: 'x +' });
    assert.equal(error, '1:4: parse error: unexpected end of input');
  });
});

describe('analyze', () => {
  test("gives Thanos's members for every operator", async () => {
    const { data } = await ask('query_range', { query: rate, ...range, analyze: 'true' });
    const [root, leaf] = everyNode(data.analysis);
    for (const node of [root!, leaf!]) {
      assert.match(node.executionTime!, /^[\d.]+(ns|µs|ms|s)$/);
      assert.equal(node['series'], 1);
      assert.equal(node['totalSamples'], 165);
    }
    for (const member of thanosMembers) assert.ok(member in leaf!, member);
    assert.deepEqual(leaf!['fanout'], [
      {
        endpointAddr: '127.0.0.1:1',
        duration: '3ms',
        bytesProcessed: 10,
        numResponses: 1,
        series: 1,
        chunks: 1,
        samples: 41,
      },
    ]);
  });

  test('gives the bytes of every operator, and at the top the most of the whole query', async () => {
    const { data } = await ask('query_range', { query: 'topk(1, x)', ...range, analyze: 'true' });
    const nodes = everyNode(data.analysis);
    const steps = 11;
    assert.deepEqual(
      nodes.map((node) => [node['series'], node['bytes'], node['peakBytes']]),
      [
        [1, (12 + 9) * steps, (9 + 9 + 16) * steps],
        [1, 10, undefined],
        [1, 0, undefined],
      ],
    );
  });

  test('is empty unless asked for', async () => {
    const { data } = await ask('query', { query: 'x', analyze: 'yes' });
    assert.deepEqual(data.analysis, {});
  });
});

describe('the limit of steps', () => {
  const many = { query: 'x', start: '0', end: '11001', step: '1' };

  test("has Prometheus's number and words by default", async () => {
    const { error } = await ask('query_range', many);
    const text = 'exceeded maximum resolution of 11,000 points per timeseries. ';
    assert.equal(error, `${text}Try decreasing the query resolution (?step=XX)`);
  });

  test('can be another, which the message names, or none', async () => {
    const { error } = await ask('query_range', { query: 'x', ...range }, 9);
    assert.match(error!, /of 9 points .*\(\?step=XX\); got 10, limited by --query\.max-steps$/);
    assert.equal((await ask('query_range', many, 0)).status, 'success');
  });
});
