import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CorruptionError } from '#/lib/errors.ts';
import { emptyStats, printBlockMeta } from '#/tsdb/block-meta.ts';
import { NewerFormatError, decodeBucketIndex, encodeBucketIndex } from './bucket-index.ts';
import type { BucketIndex, IndexedBlock } from './bucket-index.ts';
import { decode, encode, idAt, sampleMeta, thanosSection } from './testing/sample-block.ts';

const labels = fc.dictionary(
  fc.string({ unit: 'grapheme', minLength: 1 }).filter((name) => name !== '__proto__'),
  fc.string({ unit: 'grapheme' }),
  { maxKeys: 3, noNullPrototype: true },
);
const time = fc.integer({ min: 0, max: 2 ** 42 });
const ids = fc.uniqueArray(fc.nat(40), { maxLength: 20 });

const blockOf = fc.record({
  labels: fc.option(labels, { nil: undefined }),
  sources: fc.option(fc.array(fc.nat(6), { maxLength: 4 }), { nil: undefined }),
  modifiedMs: fc.option(time, { nil: undefined }),
  mint: time,
  level: fc.nat(4),
  deletedMs: fc.option(time, { nil: undefined }),
});

const anyIndex: fc.Arbitrary<BucketIndex> = fc
  .record({ generation: fc.nat(), listedMs: time, ids, left: ids })
  .chain(({ generation, listedMs, ids: seeds, left }) =>
    fc.array(blockOf, { minLength: seeds.length, maxLength: seeds.length }).map((contents) => ({
      generation,
      listedMs,
      blocks: new Map(
        contents.map((content, i) => {
          const id = idAt(seeds[i]!);
          return [id, indexedBlock(id, content)] as const;
        }),
      ),
      partial: new Set(left.map((seed) => idAt(1000 + seed))),
    })),
  );

type Content = typeof blockOf extends fc.Arbitrary<infer T> ? T : never;

function indexedBlock(id: string, content: Content): IndexedBlock {
  const { sources, mint, level, modifiedMs, deletedMs } = content;
  const compaction = {
    level,
    sources: sources?.map((seed) => idAt(seed)) ?? [id],
    deletable: false,
    parents: [],
    failed: false,
    hints: [],
  };
  return {
    meta: sampleMeta({
      ulid: id,
      minTime: mint,
      maxTime: mint + 7_200_000,
      stats: { ...emptyStats, numSamples: mint, numSeries: level },
      compaction,
      ...(content.labels === undefined ? {} : thanosSection(content.labels, { source: 'ruler' })),
    }),
    modifiedMs,
    marks:
      deletedMs === undefined
        ? {}
        : { deletion: { id, timeMs: deletedMs, details: 'é', reason: '', modifiedMs: mint } },
  };
}

/** With metas as text: how they are held in memory is nobody's business. */
function printed({ blocks, ...index }: BucketIndex): unknown {
  const texts = Array.from(blocks, ([id, { meta, ...block }]) => {
    return [id, { ...block, meta: printBlockMeta(meta) }] as const;
  });
  return { ...index, blocks: new Map(texts) };
}

describe('the bucket index', () => {
  test('reads back what was written', async () => {
    await fc.assert(
      fc.asyncProperty(anyIndex, async (index) => {
        const read = await decodeBucketIndex(await encodeBucketIndex(index), 'index');
        assert.deepEqual(printed(read), printed(index));
      }),
      { numRuns: 60 },
    );
  });

  test('reads back many blocks, which share labels and sources', async () => {
    const blocks = new Map<string, IndexedBlock>();
    for (let i = 0; i < 3000; i++) {
      const id = idAt(i, i);
      const compaction = {
        ...sampleMeta({ ulid: id }).compaction,
        sources: [idAt(i >> 1), idAt(9)],
      };
      const meta = sampleMeta({ ulid: id, compaction, ...thanosSection({ tenant: `${i % 7}` }) });
      blocks.set(id, { meta, modifiedMs: i, marks: {} });
    }
    const index = { generation: 3, listedMs: 7, blocks, partial: new Set([idAt(1)]) };
    const bytes = await encodeBucketIndex(index);
    const read = await decodeBucketIndex(bytes, 'index');
    assert.deepEqual(printed(read), printed(index));
    const [first, seventh] = [blocks.keys().toArray()[0]!, blocks.keys().toArray()[7]!];
    const labelsOf = (id: string) => read.blocks.get(id)?.meta.thanos?.labels;
    assert.equal(labelsOf(first), labelsOf(seventh));
  });

  test('blocks that are as before are shared with the index before', async () => {
    const meta = sampleMeta({ ulid: idAt(1), ...thanosSection({ a: '1' }) });
    const index = { generation: 1, listedMs: 5, partial: new Set<string>() };
    const bytes = await encodeBucketIndex({
      ...index,
      blocks: new Map([[meta.ulid, { meta, modifiedMs: 3, marks: {} }]]),
    });
    const known = await decodeBucketIndex(bytes, 'index');
    const again = await decodeBucketIndex(bytes, 'index', known);
    assert.equal(again.blocks.get(meta.ulid)?.meta, known.blocks.get(meta.ulid)?.meta);
  });

  test('every damaged byte is noticed', async () => {
    const meta = sampleMeta({ ulid: idAt(1), ...thanosSection({ a: '1' }) });
    const blocks = new Map([[meta.ulid, { meta, modifiedMs: 3, marks: {} }]]);
    const bytes = await encodeBucketIndex({
      generation: 1,
      listedMs: 5,
      partial: new Set(),
      blocks,
    });
    for (let i = 0; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i]! ^= 1;
      // The digit of the version is the one byte that says something else then.
      const want = decode(bytes.subarray(i, i + 3)) === '1 ' ? NewerFormatError : Error;
      await assert.rejects(decodeBucketIndex(damaged, 'index'), want, `byte ${i}`);
    }
    for (const length of [0, 1, 30, 89, bytes.length - 1]) {
      await assert.rejects(decodeBucketIndex(bytes.subarray(0, length), 'index'), CorruptionError);
    }
  });

  test('a later version is told apart from damage', async () => {
    const bytes = encode('hindsight-bucket-index 2 whatever\nand so on');
    await assert.rejects(decodeBucketIndex(bytes, 'b/index'), (thrown) => {
      assert.ok(thrown instanceof NewerFormatError);
      assert.equal(thrown.message, 'b/index: version is 2; this program reads version 1 only');
      return true;
    });
  });
});
