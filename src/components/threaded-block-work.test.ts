import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { emptyThanosMeta } from '#/blocks/block-files.ts';
import { LocalBlockWork } from '#/compact/block-work.ts';
import { mergedIdentity } from '#/compact/merged-meta.ts';
import { successorIdentity } from '#/compact/rewrite-job.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { CorruptionError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { allTime } from '#/tsdb/series-deletion.ts';
import { ThreadedBlockWork } from './threaded-block-work.ts';

const IDS = ['01HERP1T00B6GR48QH7ECGPZ10', '01HERP1T00B6GR48QH7ECGPZ11'];
const MADE = '01HERP1T00B6GR48QH7ECGPZ12';
const thanos = { ...emptyThanosMeta, labels: { cluster: 'a' } };
const signal = new AbortController().signal;

describe('ThreadedBlockWork', () => {
  let root: string;
  const metas: BlockMeta[] = [];
  const local = new LocalBlockWork(nodeDisk);
  const threaded = new ThreadedBlockWork(nodeDisk, local, 0);

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'hindsight-test-'));
    for (const [i, ulid] of IDS.entries()) {
      const builder = new BlockBuilder();
      for (let series = 0; series < 50; series++) {
        const samples = builder.samples(Labels.fromObject({ __name__: `m${series}` }));
        for (let k = 0; k < 300; k++) samples.pushFloat((i * 300 + k) * 15_000, k);
      }
      metas.push(await builder.write(nodeDisk, join(root, 'in'), { ulid, thanos }));
    }
  });
  after(async () => {
    await threaded[Symbol.asyncDispose]();
    await rm(root, { recursive: true });
  });

  const mergeInto = (directory: string) => ({
    inputs: IDS.map((id) => join(root, 'in', id)),
    identity: mergedIdentity(MADE, metas, thanos),
    algorithm: 'chain' as const,
    directory: join(root, directory),
  });
  const sameFiles = async (a: string, b: string) => {
    for (const file of ['chunks/000001', 'index', 'meta.json']) {
      const [left, right] = [a, b].map((directory) => readFile(join(root, directory, MADE, file)));
      assert.deepEqual(await left, await right, file);
    }
  };

  test('merges and downsamples on a thread as it would here', async () => {
    const want = await local.merge(mergeInto('here'), signal);
    const fractions: number[] = [];
    const tell = (fraction: number) => fractions.push(fraction);
    assert.deepEqual(await threaded.merge(mergeInto('there'), signal, tell), want);
    assert.equal(fractions.at(-1), 1);
    await sameFiles('here', 'there');
    const downsample = (directory: string) => ({
      input: join(root, 'in', IDS[0]!),
      ulid: MADE,
      toMs: Resolution.FiveMinutes,
      directory: join(root, directory),
    });
    await local.downsample(downsample('fine-here'), signal);
    await threaded.downsample(downsample('fine-there'), signal);
    await sameFiles('fine-here', 'fine-there');
  });

  test('rewrites on a thread as it would here', async () => {
    const rewrite = (directory: string) => ({
      input: join(root, 'in', IDS[0]!),
      identity: successorIdentity(MADE, metas[0]!, {}),
      edits: {
        relabeling: [{ action: 'drop', source_labels: ['__name__'], regex: 'm1' }],
        deletions: [
          {
            matchers: [{ type: '=~', name: '__name__', value: 'm2.*' }],
            intervals: [allTime],
          } as const,
        ],
      },
      directory: join(root, directory),
    });
    const want = await local.rewrite(rewrite('rewritten-here'), signal);
    assert.equal(want.seriesDropped, 12);
    assert.deepEqual(await threaded.rewrite(rewrite('rewritten-there'), signal), want);
    await sameFiles('rewritten-here', 'rewritten-there');
  });

  test('damage is told as damage', async () => {
    const index = join(root, 'in', IDS[1]!, 'index');
    const bytes = await readFile(index);
    await writeFile(index, bytes.subarray(0, bytes.length - 20));
    await assert.rejects(threaded.merge(mergeInto('damaged'), signal), CorruptionError);
    await writeFile(index, bytes);
  });

  test('an abort ends the thread, and nothing writes afterwards', async () => {
    const stop = new AbortController();
    const merging = threaded.merge(mergeInto('aborted'), stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(merging, /enough/);
    assert.equal(await nodeDisk.stat(join(root, 'aborted', MADE)), undefined);
  });
});
