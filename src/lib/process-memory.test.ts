import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LimitError } from './errors.ts';
import { MemoryBudget } from './memory-budget.ts';
import { ProcessMemory, blindProbe } from './process-memory.ts';
import type { MemoryProbe } from './process-memory.ts';

const MIB = 1024 * 1024;

function memoryOf(limitMib: number, probe: Partial<MemoryProbe> = {}) {
  return new ProcessMemory({
    what: 'all queries together',
    limitBytes: limitMib * MIB,
    flag: '--all',
    probe: { ...blindProbe, ...probe },
  });
}

function budgetIn(process: ProcessMemory, limitMib = 1000) {
  return new MemoryBudget({ what: 'query', limitBytes: limitMib * MIB, flag: '--one', process });
}

describe('ProcessMemory', () => {
  test('refuses one query over its own limit, with the figures and the flag', () => {
    const budget = budgetIn(memoryOf(1000), 1);
    const want =
      /query needs 2097152 bytes of memory, over its limit of 1048576 \(--one\); select /;
    assert.throws(() => budget.reserve(2 * MIB), want);
  });

  test('keeps an eighth of the limit for small queries', () => {
    const memory = memoryOf(512);
    using large = budgetIn(memory);
    large.reserve(440 * MIB);
    assert.throws(
      () => large.reserve(10 * MIB),
      /all queries together need .* over the limit of 469762048 \(--all\)/,
    );
    using small = budgetIn(memory);
    small.reserve(10 * MIB);
    assert.equal(memory.usedBytes, 450 * MIB);
  });

  test('gives back what a budget held', () => {
    const memory = memoryOf(512);
    {
      using budget = budgetIn(memory);
      budget.reserve(100 * MIB);
      budget.release(30 * MIB);
      assert.equal(memory.usedBytes, 70 * MIB);
    }
    assert.equal(memory.usedBytes, 0);
  });

  test('collects garbage when the process comes near the limit, and refuses if that does not help', () => {
    let resident = 500 * MIB;
    let collections = 0;
    let garbage = 200 * MIB;
    const memory = memoryOf(512, {
      residentBytes: () => resident,
      collectGarbage: () => {
        collections++;
        resident -= garbage;
        garbage = 0;
      },
    });
    using large = budgetIn(memory);
    large.reserve(50 * MIB);
    assert.deepEqual([collections, resident], [1, 300 * MIB]);
    resident = 600 * MIB;
    assert.throws(
      () => large.reserve(50 * MIB),
      new LimitError(
        'the process has 629145600 bytes of memory, about 629145600 of them for this query, over ' +
          'the limit of 536870912 (--all) and an eighth; select fewer series, a shorter range or a larger step',
      ),
    );
    using small = budgetIn(memory);
    small.reserve(5 * MIB);
  });

  test('holds a query to the part of the process that is its own', () => {
    const memory = memoryOf(4000, { residentBytes: () => 800 * MIB });
    using other = budgetIn(memory);
    other.reserve(200 * MIB);
    using budget = budgetIn(memory, 300);
    budget.reserve(100 * MIB);
    assert.throws(
      () => budget.reserve(150 * MIB),
      /about \d+ of them for this query, over the limit of 314572800 \(--one\)/,
    );
  });
});
