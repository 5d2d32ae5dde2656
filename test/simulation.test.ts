import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addFaults, noFaults } from './simulation/fault-counts.ts';
import { report } from './simulation/report.ts';
import { runSeeds } from './simulation/run-seeds.ts';
import type { VariantName } from './simulation/variants.ts';
import { runSeed } from './simulation/simulation.ts';

test('50 seeds meet every fault and break no invariant', async () => {
  const faults = noFaults();
  let seeds = 0;
  for await (const result of runSeeds({ first: 1, count: 50, variant: 'none', threads: 2 })) {
    assert.equal(result.violation, undefined, report(result, 'none'));
    addFaults(faults, result.faults);
    seeds++;
  }
  for (const [name, count] of Object.entries(faults))
    assert.ok(count > 0, `${name} never happened`);
  assert.equal(seeds, 50);
});

test('a seed does the same every time', async () => {
  const first = await runSeed({ seed: 7 });
  const again = await runSeed({ seed: 7 });
  assert.ok(first.events > 100);
  assert.deepEqual(again, first);
  assert.notEqual((await runSeed({ seed: 8 })).digest, first.digest);
});

test('sources that are deleted before their successor is uploaded are noticed', async () => {
  const found = await firstViolation('delete-first');
  assert.match(found, /no block is deleted before a verified successor exists/);
});

test('leases that nobody keeps are noticed', async () => {
  const found = await firstViolation('skip-lease');
  assert.match(found, /a job is done by one compactor at a time/);
});

async function firstViolation(variant: VariantName): Promise<string> {
  for await (const result of runSeeds({ first: 1, count: 200, variant, threads: 2 })) {
    if (result.violation !== undefined) return report(result, variant);
  }
  return 'nothing was found';
}
