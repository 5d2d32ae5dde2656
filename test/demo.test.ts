import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { startProcess } from '#/components/child-process.ts';
import { REMOTE_PROVIDERS, whyNoServer } from './support/bucket-servers.ts';
import { findProgram, temporaryDirectory } from './support/servers.ts';

const hindsight = resolve(import.meta.dirname, '../bin/hindsight');
const missing = findProgram('prometheus') === undefined && 'no prometheus on this machine';

/** Runs the demo's checks; gives their lines. */
async function demoLines(...args: string[]): Promise<string[]> {
  await using directory = await temporaryDirectory();
  await using demo = await startProcess({
    command: hindsight,
    args: ['demo', '--check', '--days=4', `--data-dir=${directory.path}/demo`, ...args],
  });
  const code = await demo.exited;
  assert.equal(code, 0, demo.output);
  return demo.output.split('\n').filter((line) => /^(ok|FAIL)/.test(line));
}

test('the demo answers as it must, through outages and back', { skip: missing }, async () => {
  const lines = await demoLines();
  assert.equal(lines.length, 9, lines.join('\n'));
});

for (const bucket of REMOTE_PROVIDERS) {
  const skip = missing || (whyNoServer(bucket) ?? false);
  test(`the demo answers as it must with its bucket on ${bucket}`, { skip }, async () => {
    const lines = await demoLines(`--bucket=${bucket}`);
    assert.equal(lines.length, 9, lines.join('\n'));
  });
}

test('without a Prometheus the demo still serves its history', async () => {
  const lines = await demoLines('--prometheus=none');
  assert.equal(lines.length, 2, lines.join('\n'));
});
