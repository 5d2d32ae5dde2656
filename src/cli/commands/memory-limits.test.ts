import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { memoryThereIs, processLimit, queryLimits } from './memory-limits.ts';

const MiB = 2 ** 20;
const machine = { totalBytes: 16_384 * MiB, freeBytes: 6000 * MiB };
const unset = { 'query.memory-limit': 0, 'query.total-memory-limit': 0 };
const container = { ...machine, constrainedBytes: 512 * MiB };

describe('queryLimits()', () => {
  test('gives a query a quarter of the container, and all of them half', () => {
    assert.deepEqual(queryLimits(unset, container), {
      memoryBytes: 128 * MiB,
      totalMemoryBytes: 256 * MiB,
    });
  });

  test('takes what the flags say, each for itself', () => {
    const total = { ...unset, 'query.total-memory-limit': 300 * MiB };
    assert.deepEqual(queryLimits(total, container), {
      memoryBytes: 150 * MiB,
      totalMemoryBytes: 300 * MiB,
    });
    const single = { ...unset, 'query.memory-limit': 100 * MiB };
    assert.deepEqual(queryLimits(single, container), {
      memoryBytes: 100 * MiB,
      totalMemoryBytes: 256 * MiB,
    });
  });
});

describe('memoryThereIs()', () => {
  test('is the limit of a container, also one of all the machine has', () => {
    assert.equal(memoryThereIs(container), 512 * MiB);
    const whole = { ...machine, constrainedBytes: machine.totalBytes };
    assert.equal(memoryThereIs(whole), machine.totalBytes);
  });

  test('is what the machine has left where no container has a limit', () => {
    // Unknown; cgroup v2's "max"; cgroup v1's largest number of pages; a limit nobody can reach.
    for (const constrainedBytes of [
      0,
      undefined,
      2 ** 64,
      2 ** 63 - 4096,
      machine.totalBytes + 1,
    ]) {
      assert.equal(memoryThereIs({ ...machine, constrainedBytes }), 6000 * MiB);
    }
  });
});

test('processLimit() is half of the memory there is unless it is set', () => {
  assert.equal(processLimit(0, container), 256 * MiB);
  assert.equal(processLimit(7 * MiB, container), 7 * MiB);
});
