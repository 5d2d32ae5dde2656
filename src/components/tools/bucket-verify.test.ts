import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { metaName } from '#/blocks/block-files.ts';
import { markBlock, readMark } from '#/blocks/markers.ts';
import type { Disk } from '#/lib/disk.ts';
import { FaultAt } from '#/lib/faults.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { parseBlockMeta, printBlockMeta } from '#/tsdb/block-meta.ts';
import { Block } from '#/tsdb/block.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { writeUncheckedIndex } from '#/tsdb/unchecked-index.ts';
import { bucketToolInMemory, HOUR_MS, START_MS } from '../testing/bucket-tool.ts';
import { issueKinds, verifyBlocks } from './bucket-verify.ts';

const everything = { issues: issueKinds, ids: [] };

async function change(bucket: MemoryBucket, name: string, edit: (bytes: Uint8Array) => Uint8Array) {
  await bucket.upload(name, edit(bucket.peek(name)!.slice()));
}

async function changeMeta(bucket: MemoryBucket, id: string, over: Partial<BlockMeta>) {
  await change(bucket, metaName(id), (bytes) => {
    const meta = parseBlockMeta(Buffer.from(bytes).toString(), 'meta');
    return Buffer.from(printBlockMeta({ ...meta, ...over }));
  });
}

function flip(at: number) {
  return (bytes: Uint8Array) => bytes.with(at < 0 ? bytes.length + at : at, bytes.at(at)! ^ 1);
}

describe('tools bucket verify', () => {
  test('finds nothing in whole blocks', async () => {
    const { tool, addBlock, text } = bucketToolInMemory();
    await addBlock({ slot: 0 });
    await addBlock({ slot: 1 });
    await addBlock({ slot: 1, labels: { cluster: 'b' }, seed: 2 });
    assert.equal(await verifyBlocks(everything, tool), 0);
    assert.equal(text(), '3 blocks verified, 0 issues\n');
  });

  const damages: [
    what: string,
    damage: (bucket: MemoryBucket, id: string) => Promise<void>,
    lines: RegExp[],
  ][] = [
    [
      'a missing segment file',
      (bucket, id) => bucket.remove(`${id}/chunks/000001`),
      [/block_files: chunks\/000001 is missing/, /block_bytes: .*chunks\/000001 does not exist/],
    ],
    [
      'a missing index',
      (bucket, id) => bucket.remove(`${id}/index`),
      [
        /index_known_issues: .*\/index does not exist/,
        /block_files: index is missing/,
        /block_bytes: .*\/index does not exist/,
      ],
    ],
    [
      'a segment file of another size',
      (bucket, id) => change(bucket, `${id}/chunks/000001`, (bytes) => bytes.subarray(0, -1)),
      [
        /block_files: chunks\/000001 has \d+ bytes, but meta.json says \d+/,
        /block_bytes: .*chunks\/000001 at offset \d+: found \d bytes before the end/,
      ],
    ],
    [
      'a flipped bit in a chunk',
      (bucket, id) => change(bucket, `${id}/chunks/000001`, flip(20)),
      [/block_bytes: .*chunks\/000001 at offset 8: crc32c of a chunk is 0x/],
    ],
    [
      'a flipped bit in the index',
      (bucket, id) => change(bucket, `${id}/index`, flip(20)),
      [/index_known_issues: .*index symbols.*/, /block_bytes: .*index symbols.*/],
    ],
    [
      'chunks outside of the block',
      (bucket, id) => changeMeta(bucket, id, { maxTime: START_MS + HOUR_MS }),
      [/index_known_issues: found 3 chunks non-completely outside the block time range/],
    ],
  ];
  for (const [what, damage, lines] of damages) {
    test(`finds ${what}, and changes nothing`, async () => {
      const { tool, addBlock, text, bucket } = bucketToolInMemory();
      const { ulid } = await addBlock({ slot: 0 });
      await addBlock({ slot: 1 });
      await damage(bucket, ulid);
      bucket.faults = (operation) =>
        /bucket\.(upload|remove)/.test(operation) ? 'refuse' : undefined;
      assert.equal(await verifyBlocks(everything, tool), 1);
      const found = text().trimEnd().split('\n');
      assert.equal(found.pop(), `2 blocks verified, ${lines.length} issues`);
      assert.equal(found.length, lines.length, text());
      for (const [i, line] of found.entries()) {
        assert.ok(line.startsWith(ulid), line);
        assert.match(line, lines[i]!);
      }
    });
  }

  test('finds overlaps and duplicates among blocks of one group, those marked for deletion left out', async () => {
    const { tool, addBlock, text, bucket, clock } = bucketToolInMemory();
    const a = await addBlock({ slot: 0 });
    const b = await addBlock({ slot: 0, seed: 2 });
    const sources = a.compaction.sources;
    await changeMeta(bucket, b.ulid, { compaction: { ...b.compaction, sources } });
    const [first, second] = [a.ulid, b.ulid].sort();
    const both = { issues: ['overlapped_blocks', 'duplicated_compaction'], ids: [] } as const;
    assert.equal(await verifyBlocks(both, tool), 1);
    const one = (id: string) =>
      `<ulid: ${id}, mint: ${START_MS}, maxt: ${START_MS + 2 * HOUR_MS}, range: 2h0m0s>`;
    const [overlap, duplicate] = text().split('\n');
    assert.ok(
      overlap?.endsWith(
        `overlapped_blocks: found overlapped blocks of group 0@{cluster="a"}: [mint: ${START_MS}, maxt: ${START_MS + 2 * HOUR_MS}, range: 2h0m0s, blocks: 2]: ${one(first!)}, ${one(second!)}`,
      ),
      text(),
    );
    assert.equal(
      duplicate,
      `${second} duplicated_compaction: found duplicated blocks of ${first} that are ok to be removed: ${one(second!)}`,
    );

    await markBlock(bucket, second!, { kind: 'deletion', clock });
    await clock.advance(1000);
    assert.equal(await verifyBlocks(both, tool), 0);
  });

  test('looks at single blocks, and names those that are not there', async () => {
    const { tool, addBlock, text, bucket } = bucketToolInMemory();
    const broken = await addBlock({ slot: 0 });
    const whole = await addBlock({ slot: 1 });
    await bucket.remove(`${broken.ulid}/index`);
    assert.equal(await verifyBlocks({ ...everything, ids: [whole.ulid] }, tool), 0);
    const none = '01HWRY2K805NNDTFEKG2HVJKGG';
    assert.equal(await verifyBlocks({ ...everything, ids: [none] }, tool), 1);
    assert.match(text(), new RegExp(`${none} block_files: there is no such block`));
  });
});

describe('tools bucket verify --repair', () => {
  const world = () => {
    const memory = bucketToolInMemory();
    const backup = new MemoryBucket({ clock: memory.clock });
    const config = (over: object = {}) => ({
      issues: ['index_known_issues', 'duplicated_compaction', 'block_files'] as const,
      ids: [],
      repair: {
        openBackup: () => Promise.resolve(backup),
        deleteDelayMs: 0,
        directory: '/repair',
        ...over,
      },
    });
    return { ...memory, backup, config };
  };
  const names = ({ names: all }: MemoryBucket, id: string) =>
    all.filter((name) => name.startsWith(id)).map((name) => name.slice(27));

  /** Turns the labels of every series around, as a Prometheus before 2.8.1 might have them. */
  const turnLabels = async (bucket: MemoryBucket, disk: Disk, meta: BlockMeta) => {
    const { ulid: id, thanos } = meta;
    const block = await Block.open(disk, `/blocks/${id}`);
    const series = (await block.allSeries()).map(({ labels, chunks }) => ({
      labels: [...labels].map(({ name, value }) => [name, value] as const).toReversed(),
      chunks,
    }));
    const index = writeUncheckedIndex(series);
    await bucket.upload(`${id}/index`, index);
    const files = thanos!.files.map((file) =>
      file.relPath === 'index' ? { ...file, sizeBytes: index.length } : file,
    );
    await changeMeta(bucket, id, { thanos: { ...thanos!, files } });
  };

  test('puts a repaired block in place of a broken one, which goes to the backup', async () => {
    const { tool, addBlock, bucket, backup, disk, text, config } = world();
    const broken = await addBlock({ slot: 0 });
    const { ulid } = broken;
    const whole = await addBlock({ slot: 1 });
    await turnLabels(bucket, disk, broken);
    const before = names(bucket, ulid);
    assert.equal(await verifyBlocks(config(), tool), 0);
    const [, repaired] = /repaired as (\w{26}): everything is in it;/.exec(text())!;
    assert.match(text(), /\n2 blocks verified, 2 issues, 2 of them repaired\n$/);
    assert.deepEqual(names(bucket, ulid), []);
    assert.deepEqual(names(backup, ulid), before);
    assert.ok(names(bucket, repaired!).includes('meta.json'));
    assert.ok(names(bucket, whole.ulid).includes('meta.json'));
    assert.deepEqual(await disk.list('/repair'), []);
    assert.equal(await verifyBlocks(everything, tool), 0);
  });

  test('marks the original where it is to stay for a while', async () => {
    const { tool, addBlock, bucket, disk, config } = world();
    const broken = await addBlock({ slot: 0 });
    const { ulid } = broken;
    await turnLabels(bucket, disk, broken);
    assert.equal(await verifyBlocks(config({ deleteDelayMs: HOUR_MS }), tool), 0);
    assert.equal((await readMark(bucket, ulid, 'deletion'))?.details, 'manual verify-repair');
    assert.ok(names(bucket, ulid).includes('meta.json'));
  });

  test('leaves what it cannot repair as it is, and goes on', async () => {
    const { tool, addBlock, bucket, backup, disk, text, config } = world();
    const { ulid } = await addBlock({ slot: 0 });
    const other = await addBlock({ slot: 1 });
    await changeMeta(bucket, ulid, { maxTime: START_MS + HOUR_MS });
    await turnLabels(bucket, disk, other);
    assert.equal(await verifyBlocks(config(), tool), 1);
    assert.match(text(), new RegExp(`${ulid} .*not repaired: series .* is partly outside`));
    assert.match(text(), /3 issues, 2 of them repaired\n$/);
    assert.deepEqual(names(backup, ulid), []);
    assert.ok(names(bucket, ulid).includes('meta.json'));
  });

  test('gone on with after a crash at any operation, it ends as an undisturbed one', async () => {
    for (let at = 0; ; at++) {
      const { tool, addBlock, bucket, backup, disk, config } = world();
      const broken = await addBlock({ slot: 0 });
      const { ulid } = broken;
      await turnLabels(bucket, disk, broken);
      const fault = new FaultAt(at, at % 2 === 0 ? 'refuse' : 'lose-reply', true);
      for (const one of [bucket, backup, disk]) one.faults = fault.plan;
      const code = await verifyBlocks(config(), tool).catch(() => 1);
      for (const one of [bucket, backup, disk]) one.faults = undefined;
      const samples = readableSamples(bucket);
      assert.equal(samples, 360, `samples after operation ${at}`);
      if (code === 0) break;
      await verifyBlocks(config(), tool);
      assert.equal(readableSamples(bucket), 360, `samples after operation ${at}, again`);
      assert.equal(bucket.names.filter((name) => name.endsWith('meta.json')).length, 1);
      assert.ok(names(backup, ulid).includes('meta.json'));
    }
  });

  test('keeps the first whole one of duplicates', async () => {
    const { tool, addBlock, bucket, backup, text, config } = world();
    const blocks = [await addBlock({ slot: 0 }), await addBlock({ slot: 0, seed: 2 })];
    blocks.sort((a, b) => (a.ulid < b.ulid ? -1 : 1));
    const [damaged, good] = blocks;
    const sources = damaged!.compaction.sources;
    await changeMeta(bucket, good!.ulid, { compaction: { ...good!.compaction, sources } });
    await bucket.remove(`${damaged!.ulid}/chunks/000001`);
    await verifyBlocks(config(), tool);
    assert.match(text(), /not repaired: .*the block is not whole: chunks\/000001 is missing/);
    assert.ok(names(bucket, damaged!.ulid).includes('meta.json'));

    await bucket.upload(
      `${damaged!.ulid}/chunks/000001`,
      bucket.peek(`${good!.ulid}/chunks/000001`)!,
    );
    await change(bucket, `${damaged!.ulid}/index`, flip(20));
    assert.equal(await verifyBlocks(config(), tool), 0);
    assert.match(text(), new RegExp(`: kept ${good!.ulid} alone; copies of the others are in`));
    assert.deepEqual(names(bucket, damaged!.ulid), []);
    assert.ok(names(backup, damaged!.ulid).includes('meta.json'));
  });
});

/** Of whole blocks, each sample of blocks with equal sources once. */
function readableSamples(bucket: MemoryBucket): number {
  const samples = new Map<string, number>();
  for (const name of bucket.names.filter((one) => one.endsWith('/meta.json'))) {
    const { compaction, stats } = parseBlockMeta(
      Buffer.from(bucket.peek(name)!).toString(),
      'meta',
    );
    samples.set(compaction.sources.join(), stats.numSamples);
  }
  return [...samples.values()].reduce((sum, of) => sum + of, 0);
}
