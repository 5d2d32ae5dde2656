import { printFaults } from './fault-counts.ts';
import type { SeedResult } from './simulation.ts';
import type { VariantName } from './variants.ts';

/** What came of a seed, for people; of a broken invariant, all that helps to find out why. */
export function report(result: SeedResult, variant: VariantName): string {
  const { seed, digest, events, faults, violation } = result;
  if (violation === undefined) {
    return `seed ${seed}: ${events} events, digest ${digest}; faults: ${printFaults(faults)}`;
  }
  const { invariant, detail, step, hour, lastEvents } = violation;
  const option = variant === 'none' ? '' : ` --variant ${variant}`;
  return [
    `seed ${seed}: BROKEN: ${invariant}`,
    `  ${detail}`,
    `  at step ${step}, ${hour.toFixed(2)} hours into the run; digest ${digest}`,
    `  faults: ${printFaults(faults)}`,
    `  last events:`,
    ...lastEvents.slice(-25).map((line) => `    ${line.slice(0, 200)}`),
    `  replay: npm run sim -- --seed ${seed}${option} --print`,
  ].join('\n');
}
