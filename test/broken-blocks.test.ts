/**
 * Eight ways in which the blocks of one group can be broken, or can overlap, among a hundred groups: the
 * others end as in a run without it, byte for byte, and that one is in quarantine for the right reason.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
import { printBlockMeta } from '#/tsdb/block-meta.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { CompactWorld, HOUR_MS } from '../src/components/testing/compact-world.ts';

const GROUPS = 100;
const BAD = 'group-37';
const BLOCKS_A_GROUP = 5;

/** What can be wrong with blocks of a group, each with a word of the message. */
const faults: [
  name: string,
  message: RegExp,
  breakIt: (world: CompactWorld, blocks: BlockMeta[]) => Promise<unknown>,
][] = [
  [
    'overlapping blocks',
    /overlap/,
    (world) => world.addBlock({ from: 1, to: 3, labels: { cluster: BAD } }),
  ],
  [
    'shared sources',
    /both have the data of/,
    async (world, [first, second]) => {
      for (const block of [first!, second!]) {
        const sources = [...block.compaction.sources, '01HF7YAT00B6GR48QH7ECGPZ10'];
        await putMeta(world, { ...block, compaction: { ...block.compaction, sources } });
      }
    },
  ],
  [
    'chunks outside of the block',
    /outside the block time range/,
    (world, [, second]) => putMeta(world, { ...second!, maxTime: second!.maxTime - HOUR_MS }),
  ],
  [
    'a torn index',
    /damaged data/,
    (world, [, second]) => truncate(world, `${second!.ulid}/index`, true),
  ],
  [
    'a damaged chunk',
    /damaged data/,
    async (world, [, second]) => {
      const name = `${second!.ulid}/chunks/000001`;
      const bytes = (await world.bucket.read(name)).slice();
      bytes[20]! ^= 0xff;
      await world.bucket.upload(name, bytes);
    },
  ],
  [
    'a missing segment',
    /has no bytes/,
    (world, [, second]) => world.bucket.remove(`${second!.ulid}/chunks/000001`),
  ],
  [
    'a file of another size',
    /meta\.json says/,
    (world, [, second]) => truncate(world, `${second!.ulid}/chunks/000001`, false),
  ],
  [
    'fewer samples than stated',
    /say \d+/,
    (world, [, second]) =>
      putMeta(world, { ...second!, stats: { ...second!.stats, numSamples: 1e6 } }),
  ],
];

describe(`among ${GROUPS} groups one is in quarantine`, () => {
  let clean: ReadonlyMap<string, readonly string[]>;

  before(async () => {
    const world = new CompactWorld();
    await fill(world);
    await world.compact();
    clean = await contentsOf(world);
    assert.equal(clean.size, GROUPS);
  });

  for (const [name, message, breakIt] of faults) {
    test(name, async () => {
      const world = new CompactWorld();
      await breakIt(world, await fill(world));
      const objects = (await world.names()).filter((object) => !object.endsWith('mark.json'));
      await assert.rejects(world.compact(), UnavailableError);
      const contents = await contentsOf(world);
      for (const [group, blocks] of clean) {
        if (group !== BAD) assert.deepEqual(contents.get(group), blocks, group);
      }
      const left = new Set(await world.names());
      for (const object of objects) assert.ok(left.has(object), `${object} is gone`);
      assert.ok(contents.get(BAD)!.length >= BLOCKS_A_GROUP, 'no block of the group was replaced');
      checkQuarantine(world, message);
      assert.equal(await world.metric('thanos_compact_halted'), 1);
    });
  }
});

function checkQuarantine({ log }: CompactWorld, message: RegExp): void {
  const errors = log.lines.filter(({ level }) => level === 'error');
  assert.deepEqual(
    errors.map((line) => line.message),
    ['group is in quarantine'],
  );
  const { group, err, command } = errors[0]!.fields;
  assert.match(String(group), new RegExp(BAD));
  assert.match(String(err), message);
  assert.match(String(command), /^hindsight tools bucket \w+ .*--id=01/);
}

/** Ten hours of each group, in blocks of two; those of the bad one are returned. */
async function fill(world: CompactWorld): Promise<BlockMeta[]> {
  const bad: BlockMeta[] = [];
  for (let i = 0; i < GROUPS; i++) {
    const cluster = `group-${i}`;
    for (let k = 0; k < BLOCKS_A_GROUP; k++) {
      const block = { from: 2 * k, to: 2 * k + 2, labels: { cluster }, stepMs: 240_000 };
      const meta = await world.addBlock(block);
      if (cluster === BAD) bad.push(meta);
    }
  }
  return bad;
}

/** What is left of each group: a block's range, level and sources, and a hash of its index and chunks. */
async function contentsOf(world: CompactWorld): Promise<Map<string, string[]>> {
  const contents = new Map<string, string[]>();
  for (const { ulid, minTime, maxTime, compaction, thanos } of await world.blocks()) {
    const hash = createHash('sha256');
    for (const name of ['index', 'chunks/000001']) {
      hash.update(world.bucket.peek(`${ulid}/${name}`) ?? 'missing');
    }
    const { level, sources } = compaction;
    const line = `${minTime}-${maxTime} ${level} ${sources.join()} ${hash.digest('hex')}`;
    contents.getOrInsert(thanos!.labels['cluster']!, []).push(line);
  }
  return contents;
}

async function putMeta(world: CompactWorld, meta: BlockMeta): Promise<void> {
  const text = printBlockMeta(meta);
  await world.bucket.upload(`${meta.ulid}/meta.json`, new TextEncoder().encode(text));
}

/** Cuts the end off an object; its meta may tell or not. */
async function truncate(world: CompactWorld, name: string, told: boolean): Promise<void> {
  const bytes = await world.bucket.read(name);
  const shorter = bytes.slice(0, bytes.length - 30);
  await world.bucket.upload(name, shorter);
  if (!told) return;
  const meta = (await world.blocks()).find(({ ulid }) => name.startsWith(ulid))!;
  const files = meta.thanos!.files.map((file) =>
    name.endsWith(file.relPath) ? { ...file, sizeBytes: shorter.length } : file,
  );
  await putMeta(world, { ...meta, thanos: { ...meta.thanos!, files } });
}
