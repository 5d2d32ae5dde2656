import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadInputError } from '#/lib/errors.ts';
import { parseByteSize } from './byte-size.ts';

test('parseByteSize() knows units as powers of two and wants one', () => {
  assert.equal(parseByteSize('1KB'), 1024);
  assert.equal(parseByteSize('1.5MiB'), 1.5 * 1024 * 1024);
  assert.equal(parseByteSize('2 GB'), 2 * 1024 ** 3);
  assert.equal(parseByteSize('0B'), 0);
  assert.equal(parseByteSize('0'), 0);
  assert.throws(() => parseByteSize('10'), BadInputError);
  assert.throws(() => parseByteSize('10XB'), BadInputError);
});
