import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markBlock } from '#/blocks/markers.ts';
import { BadInputError, UnavailableError } from '#/lib/errors.ts';
import { FaultAt } from '#/lib/faults.ts';
import { Labels } from '#/model/labels.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { parseMatchers } from '#/promql/parser.ts';
import { parseBlockMeta } from '#/tsdb/block-meta.ts';
import { bucketToolInMemory, HOUR_MS, START_MS, writeRealBlock } from './testing/bucket-tool.ts';
import { inspectBlocks, listBlocks, replicateBlocks, uploadBlocks } from './tools-bucket.ts';
import type { ReplicateConfig } from './tools-bucket.ts';

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

describe('tools bucket replicate', () => {
  const config = {
    http: { address: '127.0.0.1:0', gracePeriodMs: 0 },
    resolutions: [0, 300_000],
    compactionLevels: [1, 2],
    matchers: parseMatchers('{cluster="a"}'),
    minTime: all.minTime,
    maxTime: all.maxTime,
    ids: [],
    singleRun: true,
    ignoreMarkedForDeletion: true,
  } as const;

  function setUp() {
    const world = bucketToolInMemory();
    const target = new MemoryBucket();
    const replicate = (over: Partial<ReplicateConfig> = {}) =>
      replicateBlocks(
        { ...config, openTarget: () => Promise.resolve(target), ...over },
        world.tool,
      );
    const blocks = () => [...new Set(target.names.map((name) => name.slice(0, 26)))];
    return { ...world, target, replicate, blocks };
  }

  test('copies what is selected, whole and once', async () => {
    const { addBlock, bucket, target, replicate, blocks, clock, log } = setUp();
    const a = await addBlock({ slot: 0 });
    const b = await addBlock({ slot: 1 });
    await addBlock({ slot: 2, labels: { cluster: 'b' } });
    const deleted = await addBlock({ slot: 3 });
    await addBlock({ slot: 4, thanos: { downsample: { resolution: 3_600_000 } } });
    await markBlock(bucket, deleted.ulid, { kind: 'deletion', clock });
    await markBlock(bucket, b.ulid, { kind: 'no-compact', clock });
    await clock.advance(1000);
    assert.equal(await replicate(), 0);
    assert.deepEqual(blocks(), [a.ulid, b.ulid]);
    for (const name of target.names) assert.deepEqual(target.peek(name), bucket.peek(name));
    assert.ok(target.names.includes(`${b.ulid}/no-compact-mark.json`));
    assert.deepEqual(
      log.lines
        .filter(({ message }) => message === 'replicating')
        .map(({ fields }) => fields['objects']),
      [3, 4],
    );

    const sent: string[] = [];
    target.faults = (operation) => void (/upload/.test(operation) && sent.push(operation));
    await markBlock(bucket, a.ulid, { kind: 'no-downsample', clock });
    assert.equal(await replicate(), 0);
    assert.deepEqual(sent, [`bucket.upload ${a.ulid}/no-downsample-mark.json`]);
  });

  test('is whole at every moment, and goes on where it was interrupted', async () => {
    for (let at = 0; ; at++) {
      const { addBlock, target, replicate } = setUp();
      const { ulid } = await addBlock({ slot: 0 });
      const faults = new FaultAt(at, 'refuse', true);
      target.faults = faults.plan;
      await replicate().catch(() => undefined);
      if (target.names.includes(`${ulid}/meta.json`)) assert.equal(target.names.length, 3);
      target.faults = undefined;
      const before = target.names;
      const sent: string[] = [];
      target.faults = (operation) =>
        void (/upload/.test(operation) && sent.push(operation.slice(14)));
      assert.equal(await replicate(), 0);
      assert.deepEqual([...before, ...sent].sort(), target.names);
      if (faults.count <= at) break;
    }
  });

  test('leaves out a block that is not whole, says so, and copies the others', async () => {
    const { addBlock, bucket, replicate, blocks, log } = setUp();
    const broken = await addBlock({ slot: 0 });
    const other = await addBlock({ slot: 1 });
    await bucket.remove(`${broken.ulid}/index`);
    assert.equal(await replicate(), 1);
    assert.deepEqual(blocks(), [other.ulid]);
    const error = log.lines.find(({ level }) => level === 'error');
    assert.match(String(error?.fields['err']), /the block is not whole: index is missing$/);
  });

  test('copies single blocks whatever they are, and fails when there is none', async () => {
    const { addBlock, replicate, blocks } = setUp();
    const { ulid } = await addBlock({ slot: 0, labels: { cluster: 'b' } });
    await addBlock({ slot: 1 });
    assert.equal(await replicate({ ids: [ulid], singleRun: false }), 0);
    assert.deepEqual(blocks(), [ulid]);
    assert.equal(await replicate({ ids: ['01HWRY2K805NNDTFEKG2HVJKGG'] }), 1);
  });

  test('runs every minute until it is told to stop', async () => {
    const { addBlock, blocks, tool, clock, target, log } = setUp();
    const stop = new AbortController();
    const openTarget = () => Promise.resolve(target);
    const running = replicateBlocks(
      { ...config, openTarget, singleRun: false },
      { ...tool, signal: stop.signal },
    );
    target.faults = () => 'refuse';
    const { ulid } = await addBlock({ slot: 0 });
    await clock.advance(60_000);
    assert.match(log.lines.at(-1)!.message, /^replication failed/);
    target.faults = undefined;
    await clock.advance(60_000);
    assert.deepEqual(blocks(), [ulid]);
    stop.abort(new Error('stop'));
    assert.equal(await running, 0);
  });
});

describe('tools bucket upload-blocks', () => {
  const config = {
    path: '/import',
    labels: Labels.fromObject({ cluster: 'a' }),
    uploadCompacted: false,
    concurrency: 5,
  };

  test('uploads the blocks of a directory once, whatever its sidecar has done', async () => {
    const { tool, disk, bucket } = bucketToolInMemory();
    const { ulid } = await writeRealBlock(disk, '/import', { slot: 0, labels: {} });
    const state = new TextEncoder().encode(`{"version":1,"uploaded":["${ulid}"]}`);
    await disk.write('/import/thanos.shipper.json', state);
    assert.equal(await uploadBlocks(config, tool), 0);
    assert.deepEqual(
      bucket.names,
      ['chunks/000001', 'index', 'meta.json'].map((name) => `${ulid}/${name}`),
    );
    const meta = parseBlockMeta(Buffer.from(bucket.peek(`${ulid}/meta.json`)!).toString(), 'meta');
    assert.deepEqual(
      [meta.thanos?.labels, meta.thanos?.source],
      [{ cluster: 'a' }, 'bucket.upload'],
    );
    assert.deepEqual(await disk.read('/import/thanos.shipper.json'), state);
    bucket.faults = (operation) => (operation.startsWith('bucket.upload') ? 'refuse' : undefined);
    assert.equal(await uploadBlocks(config, tool), 0);
  });

  test('needs labels and a directory', async () => {
    const { tool } = bucketToolInMemory();
    await assert.rejects(
      uploadBlocks({ ...config, labels: Labels.empty }, tool),
      /^BadInputError: --label/,
    );
    await assert.rejects(
      uploadBlocks(config, tool),
      /^BadInputError: --path: no directory \/import/,
    );
  });
});
