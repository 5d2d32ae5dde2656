import { parseArgs } from 'node:util';
import { REMOTE_PROVIDERS, whyNoServer } from '../support/bucket-servers.ts';
import { runStorm } from './storm.ts';
import type { Provider } from './storm.ts';

const print = (line: string) => process.stdout.write(`${line}\n`);

/**
 * `npm run storm -- --seconds 300 [--providers s3,gcs] [--concurrency N] [--seed N]`: queries for store gateways whose
 * object storage answers late, wrongly, in part, with errors or not at all. Prints what became of
 * them, and ends with exit code 1 if an answer was wrong, a query hung or a process ended.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    providers: { type: 'string', default: ['filesystem', ...REMOTE_PROVIDERS].join(',') },
    seed: { type: 'string', default: '1' },
    concurrency: { type: 'string', default: '2' },
    'phase-seconds': { type: 'string', default: '8' },
  },
});
const wanted = values.providers.split(',') as Provider[];
const providers = wanted.filter((provider) => {
  const problem = provider === 'filesystem' ? undefined : whyNoServer(provider);
  if (problem !== undefined) print(`${provider} is left out: ${problem}`);
  return problem === undefined;
});
const reports = await runStorm({
  providers,
  seconds: Number(values.seconds),
  phaseMs: Number(values['phase-seconds']) * 1000,
  seed: Number(values.seed),
  concurrency: Number(values.concurrency),
  roundMs: 5000,
});
for (const { provider, tally, crash, residentMb } of reports) {
  const { complete, partial, failed, wrong, hung, slowestMs, faults } = tally;
  const total = complete + partial + failed + wrong + hung;
  print(
    `${provider}: ${total} queries: ${complete} complete, ${partial} partial, ${failed} errors, ` +
      `${wrong} wrong, ${hung} without an answer; slowest ${(slowestMs / 1000).toFixed(1)} s; ` +
      `${crash === undefined ? 'no crash' : 'CRASHED'}; resident MB ${residentMb.join(' ')}`,
  );
  for (const fault of faults) print(`  ${fault}`);
  if (crash !== undefined) print(crash);
  if (wrong > 0 || hung > 0 || crash !== undefined) process.exitCode = 1;
}
