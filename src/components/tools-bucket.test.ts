import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markBlock } from '#/blocks/markers.ts';
import { BadInputError, UnavailableError } from '#/lib/errors.ts';
import { Labels } from '#/model/labels.ts';
import { bucketToolInMemory, HOUR_MS, START_MS } from './testing/bucket-tool.ts';
import { inspectBlocks, listBlocks } from './tools-bucket.ts';

const all = {
  output: '',
  excludeDeleted: false,
  minTime: () => Number.NEGATIVE_INFINITY,
  maxTime: () => Number.POSITIVE_INFINITY,
  timeoutMs: 1000,
};

describe('tools bucket ls', () => {
  test('prints ULIDs in their order, and blocks without meta.json not at all', async () => {
    const { tool, text, addBlock, bucket } = bucketToolInMemory();
    const second = await addBlock({ slot: 1 });
    const first = await addBlock({ slot: 0 });
    await bucket.upload('01HWRY2K805NNDTFEKG2HVJKGG/index', new Uint8Array(1));
    assert.equal(await listBlocks(all, tool), 0);
    assert.equal(text(), `${first.ulid}\n${second.ulid}\n`);
  });

  test('prints each block in the form that was asked for', async () => {
    const forms: [output: string, text: (ulid: string) => string | RegExp][] = [
      [
        'wide',
        (ulid) =>
          `${ulid} -- 2023-11-15T00:00:00Z - 2023-11-15T02:00:00Z ` +
          'Diff: 2h0m0s, Compaction: 1, Downsample: 0, Source: sidecar\n',
      ],
      ['json', (ulid) => new RegExp(`^\\{\n\t"ulid": "${ulid}",\n[^]*\n\\}\n$`)],
      [
        '{{.ULID}}: {{ .Stats.NumSeries }} {{.Thanos.Labels}} {{.Thanos.Labels.cluster}}',
        (ulid) => `${ulid}: 3 map[cluster:a] a\n`,
      ],
      ['{{.Compaction.Sources}}{{.Thanos.Labels.zone}}', (ulid) => `[${ulid}]<no value>\n`],
    ];
    for (const [output, expected] of forms) {
      const { tool, text, addBlock } = bucketToolInMemory();
      const { ulid } = await addBlock({ slot: 0 });
      await listBlocks({ ...all, output }, tool);
      const want = expected(ulid);
      if (typeof want === 'string') assert.equal(text(), want);
      else assert.match(text(), want);
    }
  });

  test('refuses templates that it does not know, with what it knows', async () => {
    const { tool, addBlock } = bucketToolInMemory();
    await addBlock({ slot: 0 });
    await assert.rejects(
      listBlocks({ ...all, output: '{{range .Files}}' }, tool),
      new BadInputError(
        '--output: expected a field such as {{.ULID}} or {{.Thanos.Labels.cluster}}, got {{range .Files}}',
      ),
    );
    await assert.rejects(
      listBlocks({ ...all, output: '{{.Stats.Bytes}}' }, tool),
      /^BadInputError: --output: no field "\.Bytes"; use one of NumSamples, /,
    );
  });

  test('leaves out what the filters leave out', async () => {
    const { tool, text, addBlock, bucket, clock } = bucketToolInMemory();
    const ids: string[] = [];
    for (const slot of [0, 1, 2]) ids.push((await addBlock({ slot })).ulid);
    await markBlock(bucket, ids[1]!, { kind: 'deletion', clock });
    await clock.advance(1000);
    await listBlocks({ ...all, excludeDeleted: true, maxTime: () => START_MS + 3 * HOUR_MS }, tool);
    assert.equal(text(), `${ids[0]}\n`);
  });

  test('fails when the bucket cannot be seen as a whole', async () => {
    const { tool, addBlock, bucket } = bucketToolInMemory();
    await addBlock({ slot: 0 });
    bucket.faults = (operation) => (operation.startsWith('bucket.read') ? 'refuse' : undefined);
    await assert.rejects(listBlocks(all, tool), UnavailableError);
  });
});

describe('tools bucket inspect', () => {
  const config = {
    selector: Labels.fromObject({}),
    sortBy: ['FROM', 'UNTIL'],
    output: 'table',
    timeoutMs: 1000,
  } as const;

  test('prints a table as Thanos does', async () => {
    const { tool, text, addBlock } = bucketToolInMemory();
    const { ulid } = await addBlock({ slot: 0 });
    assert.equal(await inspectBlocks(config, tool), 0);
    assert.equal(
      text(),
      `|            ULID            |         FROM         |        UNTIL         | RANGE  | UNTIL-DOWN | #SERIES | #SAMPLES | #CHUNKS | COMP-LEVEL | COMP-FAILED |  LABELS   | RESOLUTION | SOURCE  |
|----------------------------|----------------------|----------------------|--------|------------|---------|----------|---------|------------|-------------|-----------|------------|---------|
| ${ulid} | 2023-11-15T00:00:00Z | 2023-11-15T02:00:00Z | 2h0m0s | 38h0m0s    | 3       | 360      | 3       | 1          | false       | cluster=a | 0s         | sidecar |
`,
    );
  });

  test('quotes values that need it', async () => {
    const { tool, text, addBlock } = bucketToolInMemory();
    await addBlock({ slot: 0, labels: { a: 'x"y', b: '2' }, series: 10 });
    await inspectBlocks({ ...config, output: 'csv' }, tool);
    assert.match(text(), /^ULID,FROM,.*\n.*,"1,200",10,1,false,"a=x""y,b=2",0s,sidecar\n$/);
  });

  test('selects by labels, and sorts by values and not by their texts', async () => {
    const { tool, text, addBlock } = bucketToolInMemory();
    const few = await addBlock({ slot: 1, series: 9 });
    const many = await addBlock({ slot: 0, series: 10 });
    await addBlock({ slot: 2, labels: { cluster: 'b' } });
    const selector = Labels.fromObject({ cluster: 'a' });
    await inspectBlocks({ ...config, selector, sortBy: ['#SERIES'], output: 'tsv' }, tool);
    const ids = text()
      .split('\n')
      .slice(1, -1)
      .map((line) => line.slice(0, 26));
    assert.deepEqual(ids, [few.ulid, many.ulid]);
  });
});
