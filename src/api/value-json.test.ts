import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Labels } from '#/model/labels.ts';
import type { QueryValue } from '#/promql/value.ts';
import { secondsJson, valueJson } from './value-json.ts';

const json = (value: QueryValue) => JSON.parse(`{${[...valueJson(value)].join('')}}`) as unknown;
const labels = Labels.fromObject({ __name__: 'm', a: '"quoted"' });

test('times are seconds, with three digits when they are not whole', () => {
  assert.equal(secondsJson(1435781451000), '1435781451');
  assert.equal(secondsJson(1435781451780), '1435781451.780');
  assert.equal(secondsJson(1435781451007), '1435781451.007');
  assert.equal(secondsJson(-1500), '-1.500');
});

test('a vector has values as texts', () => {
  const samples = [
    { labels, timeMs: 1500, value: 1e-7 },
    { labels: Labels.empty, timeMs: 2000, value: Number.NaN },
    { labels: Labels.empty, timeMs: 2000, value: Number.POSITIVE_INFINITY },
  ];
  assert.deepEqual(json({ kind: 'vector', samples }), {
    resultType: 'vector',
    result: [
      { metric: { __name__: 'm', a: '"quoted"' }, value: [1.5, '1e-07'] },
      { metric: {}, value: [2, 'NaN'] },
      { metric: {}, value: [2, '+Inf'] },
    ],
  });
});

test('bytes that are no UTF-8 are replaced', () => {
  const odd = Labels.fromObject({ a: String.raw`\udcff` + '\udcff\udcfe' });
  assert.deepEqual(json({ kind: 'vector', samples: [{ labels: odd, timeMs: 0, value: 1 }] }), {
    resultType: 'vector',
    result: [{ metric: { a: String.raw`\udcff` + '\ufffd\ufffd' }, value: [0, '1'] }],
  });
  const result = [0, '\ufffd'];
  assert.deepEqual(json({ kind: 'string', timeMs: 0, value: '\udcff' }), {
    resultType: 'string',
    result,
  });
});

test('a matrix has its floats, and comes in pieces when it is large', () => {
  const steps = 20_000;
  const series = {
    labels,
    times: Float64Array.from({ length: steps }, (_, i) => i * 1000),
    values: Float64Array.from({ length: steps }, (_, i) => i / 3),
    histogramTimes: new Float64Array(),
    histograms: [],
  };
  const pieces = [...valueJson({ kind: 'matrix', series: [series, series] })];
  assert.ok(pieces.length > 5);
  const { result } = JSON.parse(`{${pieces.join('')}}`) as {
    result: { values: [number, string][] }[];
  };
  assert.equal(result.length, 2);
  assert.deepEqual(result[1]!.values[19_999], [19_999, String(19_999 / 3)]);
});

test('a scalar never has an exponent', () => {
  const value = (number: number) => json({ kind: 'scalar', timeMs: 1500, value: number });
  assert.deepEqual(value(1.5e-7), { resultType: 'scalar', result: [1.5, '0.00000015'] });
  assert.deepEqual(value(-1.5e21), {
    resultType: 'scalar',
    result: [1.5, '-1500000000000000000000'],
  });
});

test('empty answers are empty lists', () => {
  assert.deepEqual(json({ kind: 'matrix', series: [] }), { resultType: 'matrix', result: [] });
  assert.deepEqual(json({ kind: 'vector', samples: [] }), { resultType: 'vector', result: [] });
});
