import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { acceptCompaction } from './compact.ts';
import { acceptInterop } from './interop.ts';

/**
 * `npm run acceptance -- compact [--days 30] [--series 1000] [--interval-seconds 60] [--out-of-step]
 * [--directory DIR]` makes the blocks of two replicas and runs them through the compactor (compact.ts);
 * `-- interop` lets Thanos's programs take turns with ours (interop.ts). `HINDSIGHT_PROMTOOL` and
 * `HINDSIGHT_THANOS` say where the programs of others are. Ends with exit code 1 if something was not
 * as it should be.
 */
const accepted = new Map([
  ['compact', acceptCompaction],
  ['interop', acceptInterop],
]);
const print = (line: string) => void process.stdout.write(`${line}\n`);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    days: { type: 'string', default: '30' },
    series: { type: 'string', default: '1000' },
    'interval-seconds': { type: 'string', default: '60' },
    'out-of-step': { type: 'boolean', default: false },
    directory: { type: 'string', default: join(tmpdir(), 'hindsight-acceptance') },
  },
});
const accept = positionals[0] === undefined ? undefined : accepted.get(positionals[0]);
if (accept === undefined) {
  const names = [...accepted.keys()].join(' or ');
  throw new Error(`what to accept is "${positionals[0] ?? ''}"; want ${names}`);
}
const problems = await accept({
  scale: {
    days: Number(values.days),
    series: Number(values.series),
    inStep: !values['out-of-step'],
    intervalMs: Number(values['interval-seconds']) * 1000,
  },
  directory: values.directory,
  print,
});
for (const problem of problems) print(problem);
print(problems.length === 0 ? 'accepted' : `${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
