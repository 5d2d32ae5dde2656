import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { addFaults, noFaults, printFaults } from './fault-counts.ts';
import { runSeed } from './simulation.ts';
import { runSeeds } from './run-seeds.ts';
import { report } from './report.ts';
import { variants } from './variants.ts';
import type { VariantName } from './variants.ts';

const print = (line: string) => void process.stdout.write(`${line}\n`);

/**
 * `npm run sim -- --seeds 2000`: as many runs of the simulator, on all processors or `--threads`,
 * from seed 1 or `--from` on. `--seed S` runs one, and `--print` shows all of its events. `--variant`
 * does something wrong, which should be found. Ends with exit code 1 if an invariant was broken.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    variant: { type: 'string', default: 'none' },
    threads: { type: 'string', default: String(availableParallelism()) },
    print: { type: 'boolean', default: false },
  },
});
if (!Object.hasOwn(variants, values.variant)) {
  throw new Error(`--variant ${values.variant}: want one of ${Object.keys(variants).join(', ')}`);
}
const variant = values.variant as VariantName;
if (values.seed !== undefined) {
  const seed = Number(values.seed);
  const result = await runSeed({ seed, variant, ...(values.print ? { print } : {}) });
  print(report(result, variant));
  process.exit(result.violation === undefined ? 0 : 1);
}
const count = Number(values.seeds);
const startMs = performance.now();
const faults = noFaults();
const tally = { seeds: 0, events: 0, asked: 0, incomplete: 0, panel: 0, failed: 0 };
for await (const result of runSeeds({
  first: Number(values.from),
  count,
  variant,
  threads: Number(values.threads),
})) {
  tally.seeds++;
  tally.events += result.events;
  tally.asked += result.answers.asked;
  tally.incomplete += result.answers.incomplete;
  tally.panel += result.answers.panel;
  addFaults(faults, result.faults);
  if (result.violation === undefined) continue;
  tally.failed++;
  print(report(result, variant));
  if (variant !== 'none') break;
}
const seconds = (performance.now() - startMs) / 1000;
print(
  `${tally.seeds} seeds in ${seconds.toFixed(1)} s: ${tally.failed} with a broken invariant; ` +
    `${tally.events} events, ${tally.asked} answers compared with the truth ` +
    `(${tally.incomplete} of them said that they were incomplete), ${tally.panel} of the panel`,
);
print(`faults: ${printFaults(faults)}`);
process.exit(tally.failed > 0 ? 1 : 0);
