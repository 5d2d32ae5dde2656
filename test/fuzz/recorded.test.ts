import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { BlockQueryable } from '#/tsdb/block-queryable.ts';
import { engineOver } from './answers.ts';
import { writeBlocks } from './data-set.ts';
import { compareSides } from './explain.ts';
import { readRecording } from './recording.ts';

/**
 * Random queries with the answers of Prometheus 3.14 over the data of data-set.ts. Recorded with
 * `npm run fuzz:promql -- --count 1000 --seed 1 --record test/fuzz/testdata/prometheus-3.14.jsonl.br`,
 * which is due again when that data changes.
 */
const file = join(import.meta.dirname, 'testdata/prometheus-3.14.jsonl.br');

test('random queries are answered as Prometheus 3.14 once did', async (t) => {
  const { version, queries } = await readRecording(file);
  const blocks = new BlockQueryable(await writeBlocks(new MemoryDisk(), '/data'));
  const ours = engineOver(blocks);
  const differences: string[] = [];
  let explained = 0;
  for (const { text, times, want } of queries) {
    const theirs = () => Promise.resolve(want);
    const verdict = await compareSides({ ours, theirs, version }, text, times);
    if (verdict.kind === 'explained') explained++;
    if (verdict.kind !== 'unexplained') continue;
    differences.push(`${text}\n    ${JSON.stringify(times)}\n    ${verdict.difference}`);
  }
  t.diagnostic(`${queries.length} queries, ${explained} explained, ${differences.length} not`);
  assert.ok(queries.length >= 400, `the recording has ${queries.length} queries`);
  assert.equal(differences.length, 0, differences.slice(0, 10).join('\n'));
});
