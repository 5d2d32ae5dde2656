import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Params } from '#/http/params.ts';
import type { HttpRequest } from '#/http/server.ts';
import { formatRoutes } from './format.ts';

async function ask(name: string, query: string): Promise<{ status: number; body: unknown }> {
  const route = formatRoutes().find(({ path }) => path === `/api/v1/${name}`)!;
  const request: HttpRequest = {
    method: 'GET',
    path: route.path,
    pathParams: {},
    params: new Params(new URLSearchParams({ query })),
    header: () => '',
    peer: '127.0.0.1',
    signal: new AbortController().signal,
  };
  const { status, body } = await route.handle(request);
  assert.ok(typeof body === 'string');
  return { status, body: JSON.parse(body) };
}

const selector = (name: string) => ({
  type: 'vectorSelector',
  name,
  matchers: [{ name: '__name__', value: name, type: '=' }],
  offset: 0,
  offsetExpr: null,
  timestamp: null,
  startOrEnd: null,
  anchored: false,
  smoothed: false,
});

describe('/api/v1/format_query', () => {
  test('lays an expression out', async () => {
    const { body } = await ask('format_query', 'sum   by(a)(foo{ b = "c" })>1');
    assert.deepEqual(body, { status: 'success', data: 'sum by (a) (foo{b="c"}) > 1' });
  });

  test('shows bytes that are no UTF-8 as the replacement character', async () => {
    const { body } = await ask('format_query', String.raw`a{b=~"\xff\xfe.*"}`);
    assert.deepEqual(body, {
      status: 'error',
      errorType: 'bad_data',
      error:
        'invalid parameter "query": 1:3: parse error: error parsing regexp: invalid UTF-8: `\ufffd\ufffd.*`',
    });
  });

  test('says what is wrong with a text that is no PromQL', async () => {
    assert.deepEqual(await ask('format_query', 'a +'), {
      status: 400,
      body: {
        status: 'error',
        errorType: 'bad_data',
        error: 'invalid parameter "query": 1:4: parse error: unexpected end of input',
      },
    });
  });
});

describe('/api/v1/parse_query gives the tree', () => {
  // Answers of Prometheus 3.14.
  const trees: Record<string, unknown> = {
    'a and b': {
      type: 'binaryExpr',
      op: 'and',
      lhs: selector('a'),
      rhs: selector('b'),
      matching: {
        card: 'many-to-many',
        fillValues: { lhs: null, rhs: null },
        include: [],
        labels: [],
        on: false,
      },
      bool: false,
    },
    'topk by (x) (NaN, -a > bool 1e30)': {
      type: 'aggregation',
      op: 'topk',
      expr: {
        type: 'binaryExpr',
        op: '>',
        lhs: { type: 'unaryExpr', op: '-', expr: selector('a') },
        rhs: { type: 'numberLiteral', val: '1000000000000000000000000000000' },
        matching: null,
        bool: true,
      },
      param: { type: 'numberLiteral', val: 'NaN' },
      grouping: ['x'],
      without: false,
    },
    'label_join((a), "x", "y")': {
      type: 'call',
      func: {
        name: 'label_join',
        argTypes: ['vector', 'string', 'string', 'string'],
        variadic: -1,
        returnType: 'vector',
      },
      args: [
        { type: 'parenExpr', expr: selector('a') },
        { type: 'stringLiteral', val: 'x' },
        { type: 'stringLiteral', val: 'y' },
      ],
    },
    'a[5m:min_of(1m, step())] @ end() offset -(range())': {
      type: 'subquery',
      expr: selector('a'),
      range: 300_000,
      rangeExpr: null,
      step: 0,
      stepExpr: {
        type: 'durationExpr',
        op: 'min_of',
        lhs: { type: 'numberLiteral', val: '60', duration: true },
        rhs: { type: 'durationExpr', op: 'step', lhs: null, rhs: null, wrapped: false },
        wrapped: false,
      },
      offset: 0,
      offsetExpr: {
        type: 'durationExpr',
        op: '-',
        lhs: null,
        rhs: { type: 'durationExpr', op: 'range', lhs: null, rhs: null, wrapped: true },
        wrapped: false,
      },
      timestamp: null,
      startOrEnd: 'end',
    },
    'a[300] @ 5.5 offset -5m': {
      ...selector('a'),
      type: 'matrixSelector',
      range: 300_000,
      rangeExpr: null,
      offset: -300_000,
      timestamp: 5500,
    },
  };
  for (const [query, tree] of Object.entries(trees)) {
    test(query, async () => {
      const { body } = await ask('parse_query', query);
      assert.deepEqual(body, { status: 'success', data: tree });
    });
  }
});
