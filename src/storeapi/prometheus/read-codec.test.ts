import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newMatcher } from '#/model/matcher.ts';
import { isStale } from '#/model/stale.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { ChunkedReadResponse, ReadRequest, ReadResponse } from '#/proto/remote.ts';
import { decodeChunkedRead, decodeSampledRead, encodeReadRequest } from './read-codec.ts';

const labels = [
  { name: '__name__', value: 'up' },
  { name: 'job', value: 'a' },
];

test('a frame decodes to labels and chunks, times before 1970 included', () => {
  const data = Uint8Array.of(1, 2, 3);
  const frame = ChunkedReadResponse.encode({
    chunkedSeries: [{ labels, chunks: [{ minTimeMs: -5, maxTimeMs: 1.7e12, type: 1, data }] }],
    queryIndex: 0,
  }).finish();
  const decoded = decodeChunkedRead(frame);
  assert.deepEqual(decoded, [
    {
      labels: ['__name__', 'up', 'job', 'a'],
      chunks: [
        { mint: -5, maxt: 1.7e12, raw: { encoding: 1, data: decoded[0]!.chunks[0]!.raw!.data } },
      ],
    },
  ]);
  assert.deepEqual([...decoded[0]!.chunks[0]!.raw!.data], [1, 2, 3]);
});

test('a frame that is cut or no message at all is damage', () => {
  const frame = ChunkedReadResponse.encode({
    chunkedSeries: [{ labels, chunks: [] }],
    queryIndex: 0,
  }).finish();
  assert.throws(() => decodeChunkedRead(frame.subarray(0, 9)), { name: 'CorruptionError' });
  assert.throws(() => decodeChunkedRead(Uint8Array.of(0x0b)), { name: 'CorruptionError' });
});

test('samples keep their bits, the stale marker included', () => {
  const body = ReadResponse.encode({
    results: [
      {
        timeseries: [
          {
            labels,
            samples: [
              { timestamp: 1000, value: 1.5 },
              { timestamp: 2000, value: 0 },
            ],
            exemplars: [],
            histograms: [],
          },
        ],
      },
    ],
  }).finish();
  // The second value, 0, is not on the wire; put the stale NaN where the first is.
  const marker = Uint8Array.of(2, 0, 0, 0, 0, 0, 0xf0, 0x7f);
  const at = Buffer.from(body).indexOf(Uint8Array.of(0, 0, 0, 0, 0, 0, 0xf8, 0x3f));
  body.set(marker, at);
  const [series] = decodeSampledRead(body);
  assert.deepEqual(series!.labels, ['__name__', 'up', 'job', 'a']);
  assert.deepEqual([...series!.samples.times.subarray(0, 2)], [1000, 2000]);
  assert.ok(isStale(series!.samples.halves, 0));
  assert.equal(series!.samples.values[1], 0);
});

test('a request for all of time fits its fields', () => {
  const request = encodeReadRequest({
    mint: MIN_TIME,
    maxt: MAX_TIME,
    matchers: [newMatcher('=~', 'job', 'a.*'), newMatcher('!=', 'x', 'y')],
  });
  // 2^63 - 1024 as a varint: the end of all time, as far as doubles go.
  assert.ok(Buffer.from(request).includes(Uint8Array.of(0x80, 0xf8, 0xff)));
  const small = ReadRequest.decode(
    encodeReadRequest({ mint: 1, maxt: 2, matchers: [newMatcher('!~', 'job', 'a')] }),
  );
  assert.deepEqual(small, {
    queries: [
      {
        startTimestampMs: 1,
        endTimestampMs: 2,
        matchers: [{ type: 3, name: 'job', value: 'a' }],
        hints: undefined,
      },
    ],
    acceptedResponseTypes: [1, 0],
  });
});
