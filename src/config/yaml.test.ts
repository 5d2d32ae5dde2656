import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as v from 'valibot';
import { BadInputError } from '#/lib/errors.ts';
import { byteSize, duration, textMap, wholeNumber } from './schema.ts';
import { expandEnvironment, parseYaml } from './yaml.ts';

const schema = v.strictObject({
  type: v.string(),
  config: v.optional(
    v.strictObject({
      bucket: v.optional(v.string(), ''),
      insecure: v.optional(v.boolean(), false),
      part_size: v.optional(byteSize(), 0),
      max_retries: v.optional(wholeNumber(), 0),
      timeout: v.optional(duration(), '0s'),
      tags: v.optional(textMap(), {}),
      lists: v.optional(v.array(v.strictObject({ version: v.picklist(['v1', 'v2']) })), []),
    }),
  ),
});

const parse = (text: string) => parseYaml('--objstore.config', text, schema);

function fails(text: string, message: string): void {
  assert.throws(() => parse(text), new BadInputError(`--objstore.config: ${message}`));
}

describe('parseYaml()', () => {
  test('fills in defaults, reads units and merge keys, and takes JSON', () => {
    assert.deepEqual(parse('type: S3\nconfig:\n  bucket: b\n  part_size: 64MB\n  timeout: 1m30s'), {
      type: 'S3',
      config: {
        bucket: 'b',
        insecure: false,
        part_size: 64 * 1024 * 1024,
        max_retries: 0,
        timeout: 90_000,
        tags: {},
        lists: [],
      },
    });
    assert.equal(parse('{"type": "S3", "config": {"insecure": true}}').config?.insecure, true);
    const merged = parse('config:\n  <<: {bucket: m, insecure: yes}\n  bucket: own\ntype: S3');
    assert.equal(merged.config?.bucket, 'own');
    assert.equal(merged.config?.insecure, true);
  });

  test('takes scalars as they are written where a text is wanted', () => {
    assert.equal(parse('type: S3\nconfig: {bucket: 0123}').config?.bucket, '0123');
    assert.deepEqual(parse('type: 1e3\nconfig: {tags: {a: yes, b: 2024-01-01}}').config?.tags, {
      a: 'yes',
      b: '2024-01-01',
    });
  });

  test('counts a key without a value as absent', () => {
    assert.equal(parse('type: S3\nconfig:').config, undefined);
    assert.equal(parse('type: S3\nconfig:\n  bucket:\n').config?.bucket, '');
  });

  test('names an unknown key with its place and the key that was meant', () => {
    fails(
      'type: S3\nconfig:\n  buckt: x\n',
      'line 3, column 3: unknown key "buckt"; did you mean "bucket"?',
    );
    fails(
      'type: S3\nzzzzzz: 1\n',
      'line 2, column 1: unknown key "zzzzzz"; known keys: type, config',
    );
    fails(
      'type: S3\nconfig:\n  lists:\n    - version: v1\n    - verzion: v1\n',
      'line 5, column 7: unknown key "verzion"; did you mean "version"?',
    );
  });

  test('names a wrong type, a wrong value and a missing key with its place', () => {
    fails(
      'type: S3\nconfig:\n  insecure: maybe\n',
      'line 3, column 13: "config.insecure" is "maybe"; want true or false',
    );
    fails(
      'type: S3\nconfig: [1]\n',
      'line 2, column 9: "config" is a list; want a mapping of keys to values',
    );
    fails(
      'type: S3\nconfig: {lists: [{version: v3}]}',
      'line 2, column 28: "config.lists.0.version" is "v3"; want "v1" or "v2"',
    );
    fails(
      'type: S3\nconfig:\n  timeout: 5 minutes\n',
      'line 3, column 12: "config.timeout" is "5 minutes": unknown unit " minutes" in duration "5 minutes"; want a duration such as 30s or 1h30m',
    );
    fails(
      'type: S3\nconfig:\n  max_retries: -1\n',
      'line 3, column 16: "config.max_retries" is -1: want a whole number of at least 0',
    );
    fails('config: {}\n', 'line 1, column 1: "type" is missing');
    fails('', 'line 1, column 1: is empty; want a mapping of keys to values');
  });

  test('reports the first of several faults', () => {
    fails('typ: S3\nconfig: 3', 'line 1, column 1: unknown key "typ"; did you mean "type"?');
  });

  test('names the place of a syntax error and of a repeated key', () => {
    fails(
      'type: S3\nconfig:\n  bucket: [a\n',
      'line 4, column 1: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    );
    fails('type: S3\ntype: S3\n', 'line 2, column 1: not valid YAML: Map keys must be unique');
  });
});

test('expandEnvironment() replaces set variables and names one that is not set', () => {
  assert.equal(expandEnvironment('x', 'a: $(A) $B ${A}', { A: '1' }), 'a: 1 $B ${A}');
  assert.throws(
    () => expandEnvironment('--objstore.config-file "s3.yml"', 'secret: $(SECRET)', {}),
    /^BadInputError: --objstore.config-file "s3.yml": \$\(SECRET\) refers to the environment variable SECRET, which is not set$/,
  );
});
