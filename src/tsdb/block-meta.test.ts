import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBlockMeta, printBlockMeta } from './block-meta.ts';

const prometheusMeta = `{
	"ulid": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
	"minTime": 1700000000000,
	"maxTime": 1700007200000,
	"stats": {
		"numSamples": 10,
		"numSeries": 1,
		"numChunks": 1
	},
	"compaction": {
		"level": 1,
		"sources": [
			"01ARZ3NDEKTSV4RRFFQ69G5FAV"
		]
	},
	"version": 1
}`;

const thanosMeta = `${prometheusMeta.slice(0, -2)},
	"thanos": {
		"labels": {
			"cluster": "a\\u003cb",
			"replica": "1"
		},
		"downsample": {
			"resolution": 300000
		},
		"source": "sidecar",
		"segment_files": [
			"000001"
		],
		"files": [
			{
				"rel_path": "chunks/000001",
				"size_bytes": 123,
				"hash": {
					"hashFunc": "SHA256",
					"value": "ab"
				}
			},
			{
				"rel_path": "meta.json"
			}
		],
		"index_stats": {
			"series_max_size": 50
		},
		"extensions": {
			"parquet_migrated": true
		},
		"upload_time": "2026-01-01T00:00:00Z"
	}
}
`;

test('a meta.json of Prometheus and one of Thanos print as they were read', () => {
  assert.equal(printBlockMeta(parseBlockMeta(prometheusMeta, 'meta.json')), prometheusMeta);
  assert.equal(printBlockMeta(parseBlockMeta(thanosMeta, 'meta.json')), thanosMeta);
});

test('unknown keys, null lists and missing sections are fine', () => {
  const text =
    '{"version":1,"ulid":"01ARZ3NDEKTSV4RRFFQ69G5FAV","minTime":1,"maxTime":2,"new":3,"thanos":{"files":null}}';
  const meta = parseBlockMeta(text, 'meta.json');
  assert.deepEqual(meta.compaction.sources, []);
  assert.deepEqual(meta.thanos?.files, []);
  assert.equal(meta.thanos?.downsample.resolution, 0);
  assert.match(printBlockMeta(meta), /"upload_time": "0001-01-01T00:00:00Z"/);
});

test('damage is named with file and key', () => {
  const broken: [string, string][] = [
    ['{', 'not valid JSON'],
    ['[]', 'is [], expected an object'],
    ['{}', '"version" is missing, expected 1'],
    ['{"version":2}', '"version" is 2, expected 1'],
    ['{"version":1,"ulid":"x"}', '"ulid" is "x", expected a ULID of 26 characters'],
    [thanosMeta.replace('"sidecar"', '7'), '"thanos.source" is 7, expected a string'],
    [
      thanosMeta.replace('"meta.json"', 'true'),
      '"thanos.files[1].rel_path" is true, expected a string',
    ],
    [thanosMeta.replace('"labels"', '"version": 2, "labels"'), '"thanos.version" is 2, expected 1'],
  ];
  for (const [text, message] of broken) {
    assert.throws(
      () => parseBlockMeta(text, 'block/meta.json'),
      (thrown: Error) =>
        thrown.name === 'CorruptionError' &&
        thrown.message.startsWith('block/meta.json:') &&
        thrown.message.includes(message),
      message,
    );
  }
});
