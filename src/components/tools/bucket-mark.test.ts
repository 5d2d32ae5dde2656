import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readMark } from '#/blocks/markers.ts';
import { bucketToolInMemory } from '../testing/bucket-tool.ts';
import { analyzeBlocks } from './bucket-analyze.ts';
import { markBlocks } from './bucket-mark.ts';

describe('tools bucket mark', () => {
  const config = { kind: 'no-compact', details: 'looks odd', remove: false } as const;

  test('sets a mark once, and removes it', async () => {
    const { tool, addBlock, bucket, log } = bucketToolInMemory();
    const { ulid } = await addBlock({ slot: 0 });
    const ids = [ulid];
    assert.equal(await markBlocks({ ...config, ids }, tool), 0);
    const mark = await readMark(bucket, ulid, 'no-compact');
    assert.deepEqual([mark?.id, mark?.details, mark?.reason], [ulid, 'looks odd', 'manual']);
    assert.equal(await markBlocks({ ...config, ids, details: 'another' }, tool), 0);
    assert.match(log.lines.at(-1)!.message, /has this mark already/);
    assert.equal(await markBlocks({ ...config, ids, details: '', remove: true }, tool), 0);
    assert.equal(await readMark(bucket, ulid, 'no-compact'), undefined);
  });

  test('needs blocks that are there, and a reason', async () => {
    const { tool, bucket } = bucketToolInMemory();
    const ids = ['01HWRY2K805NNDTFEKG2HVJKGG'];
    assert.equal(await markBlocks({ ...config, ids }, tool), 1);
    assert.deepEqual(bucket.names, []);
    await assert.rejects(markBlocks({ ...config, ids, details: '' }, tool), /--details: expected/);
    await assert.rejects(markBlocks({ ...config, ids: [] }, tool), /--id: expected/);
  });
});

describe('tools bucket analyze', () => {
  const config = {
    ids: [],
    minTime: () => Number.NEGATIVE_INFINITY,
    maxTime: () => Number.POSITIVE_INFINITY,
    limit: 2,
    output: 'tsv',
  } as const;

  test('counts series, chunks and every byte of a metric, and values of a label', async () => {
    const { tool, addBlock, bucket, text } = bucketToolInMemory();
    const blocks = [await addBlock({ slot: 0, series: 3 }), await addBlock({ slot: 1, series: 5 })];
    assert.equal(await analyzeBlocks(config, tool), 0);
    const [metrics, labels] = text().split('\n\n');
    const rows = metrics!.split('\n').map((line) => line.split('\t'));
    assert.deepEqual(rows[0], ['METRIC', 'SERIES', 'CHUNKS', 'BYTES']);
    assert.deepEqual(
      rows.slice(1).map((row) => row.slice(0, 3)),
      [
        ['up', '5', '5'],
        ['down', '3', '3'],
      ],
    );
    const header = 8;
    const stored = blocks.map(({ ulid }) => bucket.peek(`${ulid}/chunks/000001`)!.length - header);
    const counted = rows.slice(1).map((row) => Number(row[3]));
    assert.equal(
      counted.reduce((sum, bytes) => sum + bytes),
      stored.reduce((sum, bytes) => sum + bytes),
    );
    assert.equal(
      labels,
      'LABEL\tVALUES\tVALUE-BYTES\tSERIES\ninstance\t5\t5\t5\n__name__\t2\t6\t5\n',
    );
  });

  test('looks at single blocks', async () => {
    const { tool, addBlock, text } = bucketToolInMemory();
    const { ulid } = await addBlock({ slot: 0, series: 1 });
    await addBlock({ slot: 1, series: 5 });
    await analyzeBlocks({ ...config, ids: [ulid] }, tool);
    assert.match(text(), /^METRIC.*\nup\t1\t1\t\d+\n\n/);
  });
});
