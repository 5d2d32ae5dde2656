import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { metaName } from '#/blocks/block-files.ts';
import { markBlock } from '#/blocks/markers.ts';
import type { MemoryBucket } from '#/objstore/memory.ts';
import { parseBlockMeta, printBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
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
