import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileDescriptorSet } from './descriptors.ts';
import { InfoResponse } from './info.ts';
import { Histogram, TimeSeries } from './remote.ts';
import { RulesResponse } from './rules.ts';
import { SeriesRequest } from './store.ts';

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

test('time bounds keep all 64 bits', () => {
  const sent = SeriesRequest.create({ minTime: MIN_INT64, maxTime: MAX_INT64 });
  const received = SeriesRequest.decode(SeriesRequest.encode(sent).finish());
  assert.equal(received.minTime, MIN_INT64);
  assert.equal(received.maxTime, MAX_INT64);
});

test('an empty message of Info is told from an absent one', () => {
  const bytes = InfoResponse.encode(InfoResponse.create({ rules: {} })).finish();
  const info = InfoResponse.decode(bytes);
  assert.deepEqual([info.rules, info.status], [{}, undefined]);
  assert.equal(Buffer.from(bytes).toString('hex'), '2200');
});

test('a oneof travels by its case, empty strings included', () => {
  const bytes = RulesResponse.encode({ result: { $case: 'warning', value: '' } }).finish();
  assert.deepEqual(RulesResponse.decode(bytes).result, { $case: 'warning', value: '' });
});

test('repeated numbers may come packed or one by one', () => {
  const packed = Histogram.encode(Histogram.create({ positiveDeltas: [1n, -2n] })).finish();
  assert.equal(Buffer.from(packed).toString('hex'), '62020203');
  assert.deepEqual(Histogram.decode(Buffer.from('60026003', 'hex')).positiveDeltas, [1n, -2n]);
});

test('samples before 1970 survive', () => {
  const sent = TimeSeries.create({ samples: [{ value: Number.NaN, timestamp: -1 }] });
  const { samples } = TimeSeries.decode(TimeSeries.encode(sent).finish());
  assert.deepEqual(samples, [{ value: Number.NaN, timestamp: -1 }]);
});

test('the file descriptors name every service', () => {
  const text = Buffer.from(fileDescriptorSet, 'base64').toString('latin1');
  for (const file of ['store.proto', 'health.proto', 'google/protobuf/any.proto']) {
    assert.ok(text.includes(file), file);
  }
});
