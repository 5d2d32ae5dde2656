import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Throughput, timeLeftMs } from './throughput.ts';

test('the speed is that of the last jobs, large ones counting more', () => {
  const throughput = new Throughput();
  assert.equal(throughput.bytesPerSecond, undefined);
  throughput.add(1000, 1000);
  throughput.add(9000, 1000);
  assert.equal(throughput.bytesPerSecond, 5000);
  for (let i = 0; i < 32; i++) throughput.add(200, 2000);
  assert.equal(throughput.bytesPerSecond, 100);
});

test('the time left is that of the longest line, or of all shared by those who work', () => {
  assert.equal(timeLeftMs([100, 100, 100, 100], 10, 2), 20_000);
  assert.equal(timeLeftMs([400, 0, 0], 10, 2), 40_000);
  assert.equal(timeLeftMs([], undefined, 1), 0);
  assert.equal(timeLeftMs([100], undefined, 1), undefined);
});
