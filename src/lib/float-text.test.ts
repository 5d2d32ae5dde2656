import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatF, formatG, formatPrecise, formatSampleValue } from './float-text.ts';

test('formatG() changes to exponents below 1e-4 and from 1e6 on', () => {
  const texts = [1e5, 123456, 1e6, 1234567, 1e-4, 1e-5, -0.25, 0, -0, NaN, Infinity, -Infinity].map(
    formatG,
  );
  assert.deepEqual(texts, [
    '100000',
    '123456',
    '1e+06',
    '1.234567e+06',
    '0.0001',
    '1e-05',
    '-0.25',
    '0',
    '-0',
    'NaN',
    '+Inf',
    '-Inf',
  ]);
});

test('formatPrecise() rounds to significant digits', () => {
  const texts = [123, 0.5, 0.00001234, 1, 99.6].map((value) => formatPrecise(value, 2));
  assert.deepEqual(texts, ['1.2e+02', '0.5', '1.2e-05', '1', '1e+02']);
});

test('formatSampleValue() writes plain numbers between 1e-6 and 1e21', () => {
  const texts = [1e20, 1e21, 1e-6, 1e-7, 1234567, -0, NaN].map(formatSampleValue);
  assert.deepEqual(texts, [
    '100000000000000000000',
    '1e+21',
    '0.000001',
    '1e-07',
    '1234567',
    '-0',
    'NaN',
  ]);
});

test('formatF() has six digits behind the point', () => {
  assert.deepEqual([1, -0.5, 1e21, -0, NaN].map(formatF), [
    '1.000000',
    '-0.500000',
    '1000000000000000000000.000000',
    '-0.000000',
    'NaN',
  ]);
});
