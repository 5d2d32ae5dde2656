/**
 * What the operator of a real compactor sees: one group in quarantine while the others are done, on
 * the page, in the API, the metrics and the probes, and that the proposed command lets it go on.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { uploadBlock } from '#/blocks/upload-block.ts';
import type { CompactorStatus } from '#/compact/status.ts';
import { startProcess } from '#/components/child-process.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { FilesystemBucket } from '#/objstore/filesystem.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { eventually, freePort, getJson, temporaryDirectory } from './support/servers.ts';

const run = promisify(execFile);
const hindsight = resolve(import.meta.dirname, '../bin/hindsight');
const HOUR_MS = 3_600_000;
/** The start of an aligned range of two weeks. */
const START_MS = Math.floor(1_700_000_000_000 / (336 * HOUR_MS)) * 336 * HOUR_MS;

/** Five blocks of two hours of each cluster; gives the ULIDs. */
async function fillBucket(root: string, clusters: readonly string[]): Promise<string[][]> {
  const random = seededRandom(3);
  const effects = { disk: nodeDisk, clock: systemClock, random };
  const bucket = new FilesystemBucket(join(root, 'bucket'), effects);
  const signal = new AbortController().signal;
  const all: string[][] = [];
  for (const cluster of clusters) {
    const ids: string[] = [];
    for (let hour = 0; hour < 10; hour += 2) {
      const minTime = START_MS + hour * HOUR_MS;
      const maxTime = minTime + 2 * HOUR_MS;
      const builder = new BlockBuilder();
      const samples = builder.samples(Labels.fromObject({ __name__: 'up' }));
      for (let time = minTime; time < maxTime; time += 60_000) samples.pushFloat(time, 1);
      const ulid = newUlid(maxTime, random);
      const thanos = { ...emptyThanosMeta, labels: { cluster }, source: 'sidecar' };
      await builder.write(nodeDisk, root, { ulid, minTime, maxTime, thanos });
      await uploadBlock({ ...effects, bucket, directory: join(root, ulid), signal });
      ids.push(ulid);
    }
    all.push(ids);
  }
  return all;
}

test('a fault of one group is seen everywhere, and its command lets the group go on', async () => {
  await using directory = await temporaryDirectory();
  const [, bad = []] = await fillBucket(directory.path, ['a', 'b & <i>']);
  const segment = join(directory.path, 'bucket', bad[1]!, 'chunks/000001');
  const bytes = await readFile(segment);
  bytes[20]! ^= 0xff;
  await writeFile(segment, bytes);
  const objstore = JSON.stringify({
    type: 'FILESYSTEM',
    config: { directory: join(directory.path, 'bucket') },
  });
  const url = `http://127.0.0.1:${await freePort()}`;
  await using compactor = await startProcess({
    command: hindsight,
    args: [
      'compact',
      '--wait',
      '--wait-interval=2s',
      `--objstore.config=${objstore}`,
      `--data-dir=${join(directory.path, 'data')}`,
      '--consistency-delay=0s',
      `--http-address=${new URL(url).host}`,
    ],
    readyUrl: `${url}/-/ready`,
  });
  const groups = async () => {
    const { data } = (await getJson(`${url}/api/v1/compact/status`)) as { data: CompactorStatus };
    return data.work.find(({ queue }) => queue === 'compaction')!.groups;
  };
  const quarantined = await eventually('a group in quarantine and one that is done', async () => {
    const all = await groups();
    const stopped = all.find(({ quarantine }) => quarantine !== undefined);
    return all.some(({ blocks }) => blocks === 2) ? stopped : undefined;
  });
  assert.deepEqual(quarantined.labels, { cluster: 'b & <i>' });
  assert.equal(quarantined.quarantine!.kind, 'damaged-block');

  const page = await (await fetch(`${url}/`)).text();
  assert.match(page, /cluster=&quot;b &amp; &lt;i&gt;&quot;/);
  assert.match(page, /damaged-block<\/span>/);
  assert.ok(!page.includes('<i>') && !page.includes('<script'));
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /^thanos_compact_halted 1$/m);
  assert.match(metrics, /^hindsight_compact_quarantined_groups\{reason="damaged-block"\} 1$/m);
  for (const probe of ['healthy', 'ready']) {
    assert.equal((await fetch(`${url}/-/${probe}`)).status, 200, probe);
  }

  // The command is made for a shell; none is needed to split this one.
  const { command } = quarantined.quarantine!;
  const words = command.match(/'[^']*'|\S+/g) ?? [];
  assert.equal(words.shift(), 'hindsight');
  const args = words
    .map((word) => word.replaceAll("'", ''))
    .filter((word) => !word.startsWith('--objstore.config-file'));
  await run(hindsight, [...args, `--objstore.config=${objstore}`]);
  await eventually('the group goes on', async () => {
    const stopped = (await groups()).filter(({ quarantine }) => quarantine !== undefined);
    return stopped.length === 0 || undefined;
  });
  const later = await (await fetch(`${url}/metrics`)).text();
  assert.match(later, /^thanos_compact_halted 0$/m);

  const body = new URLSearchParams({ id: bad[0]!, action: 'DELETION', detail: 'by hand' });
  const marked = await fetch(`${url}/api/v1/blocks/mark`, { method: 'POST', body });
  assert.equal(marked.status, 204);
  const mark = join(directory.path, 'bucket', bad[0]!, 'deletion-mark.json');
  assert.match(await readFile(mark, 'utf8'), /"details":"by hand"/);
  await compactor.stop();
  assert.equal(await compactor.exited, 0, compactor.output);
});
