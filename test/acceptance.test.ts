/** A small run of `npm run acceptance -- compact`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptCompaction } from './acceptance/compact.ts';
import { temporaryDirectory } from './support/servers.ts';

test('days of two replicas answer the same after compaction and downsampling', async (context) => {
  await using directory = await temporaryDirectory();
  const problems = await acceptCompaction({
    scale: { days: 4, series: 50, intervalMs: 60_000, inStep: true },
    directory: directory.path,
    print: (line) => context.diagnostic(line),
  });
  assert.deepEqual(problems, []);
});
