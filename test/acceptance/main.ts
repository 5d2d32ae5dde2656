import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { acceptCompaction } from './compact.ts';

/**
 * `npm run acceptance -- compact [--days 30] [--series 1000] [--interval-seconds 30] [--in-step]
 * [--directory DIR]`:
 * makes the blocks of two replicas and runs them through the compactor (compact.ts). Programs of
 * Prometheus and Thanos take part that `HINDSIGHT_PROMTOOL` and `HINDSIGHT_THANOS` name. Ends with exit
 * code 1 if something was not as it should be.
 */
const print = (line: string) => void process.stdout.write(`${line}\n`);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    days: { type: 'string', default: '30' },
    series: { type: 'string', default: '1000' },
    'interval-seconds': { type: 'string', default: '30' },
    'in-step': { type: 'boolean', default: false },
    directory: { type: 'string', default: join(tmpdir(), 'hindsight-acceptance') },
  },
});
if (positionals[0] !== 'compact') {
  throw new Error(`what to accept is "${positionals[0] ?? ''}"; want compact`);
}
const problems = await acceptCompaction({
  scale: {
    days: Number(values.days),
    series: Number(values.series),
    inStep: values['in-step'],
    intervalMs: Number(values['interval-seconds']) * 1000,
  },
  directory: values.directory,
  print,
});
for (const problem of problems) print(problem);
print(problems.length === 0 ? 'accepted' : `${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
