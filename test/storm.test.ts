import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { REMOTE_PROVIDERS, whyNoServer } from './support/bucket-servers.ts';
import { runStorm } from './storm/storm.ts';
import type { StormReport } from './storm/storm.ts';
import { WEATHERS } from './storm/weather.ts';

const PHASE_MS = 8000;

/** What a process may grow by while it warms up; over minutes it falls back again and again. */
const WARM_UP_MB = 100;

describe('object storage in a storm', { concurrency: true }, async () => {
  const missing = REMOTE_PROVIDERS.filter((provider) => whyNoServer(provider) !== undefined);
  const here = REMOTE_PROVIDERS.filter((provider) => !missing.includes(provider));
  for (const provider of missing) {
    test(provider, { skip: whyNoServer(provider)! }, () => undefined);
  }
  const storm = runStorm({
    providers: ['filesystem', ...here],
    seconds: (WEATHERS.length * PHASE_MS) / 1000,
    phaseMs: PHASE_MS,
    seed: 1,
    concurrency: 2,
    roundMs: 5000,
  });
  storm.catch(() => undefined);
  for (const provider of ['filesystem', ...here]) {
    test(`${provider}: no wrong answer, no silence, no crash, no growth`, async () => {
      check((await storm).find((report) => report.provider === provider)!);
    });
  }
});

function check({ tally, crash, residentMb }: StormReport): void {
  const { complete, partial, failed, wrong, hung, faults } = tally;
  assert.equal(crash, undefined);
  assert.equal(wrong + hung, 0, faults.join('\n'));
  assert.ok(complete >= 5, `${complete} complete answers`);
  assert.ok(
    partial + failed >= 5,
    `${partial} partial answers, ${failed} errors: was there a storm?`,
  );
  const [first = 0, last = 0] = [residentMb.at(2), residentMb.at(-1)];
  assert.ok(last <= first + WARM_UP_MB, `resident MB: ${residentMb.join(' ')}`);
}
