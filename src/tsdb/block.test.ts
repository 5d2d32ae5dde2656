import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Disk } from '#/lib/disk.ts';
import { CorruptionError, NotFoundError } from '#/lib/errors.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { randomInteger, randomItem, seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import type { Matcher } from '#/model/matcher.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { BlockBuilder } from './block-builder.ts';
import { BlockQueryable } from './block-queryable.ts';
import { BlockWriter } from './block-writer.ts';
import { Block } from './block.ts';
import { encodeSamples } from './chunk-encoder.ts';
import { writeTombstones } from './tombstones.ts';

const ids = Array.from({ length: 8 }, (_, i) => newUlid(i + 1, seededRandom(i)));
const everything = [newMatcher('=~', '__name__', '.+')];

/** Samples by series: `[time, value]` in time order. */
type Rows = Readonly<Record<string, readonly (readonly [number, number])[]>>;

async function writeBlock(disk: Disk, ulid: string, rows: Rows): Promise<Block> {
  const builder = new BlockBuilder();
  for (const [name, samples] of Object.entries(rows)) {
    const buffer = builder.samples(Labels.fromObject({ __name__: name }));
    for (const [time, value] of samples) buffer.pushFloat(time, value);
  }
  await builder.write(disk, '/data', { ulid, samplesPerChunk: 7 });
  return Block.open(disk, `/data/${ulid}`);
}

async function query(blocks: readonly Block[], mint = -1e15, maxt = 1e15): Promise<Rows> {
  const { series } = await new BlockQueryable(blocks).select(
    { matchers: everything, mint, maxt, hints: { stepMs: 0, rangeMs: 0, func: '', limit: 0 } },
    { signal: new AbortController().signal, budget: unlimitedBudget() },
  );
  return Object.fromEntries(
    series.map((one) => {
      const buffer = new SampleBuffer();
      one.read(mint, maxt, buffer);
      const samples = Array.from(
        { length: buffer.length },
        (_, i) => [buffer.times[i]!, buffer.values[i]!] as const,
      );
      return [one.labels.get('__name__'), samples];
    }),
  );
}

const samples = fc
  .uniqueArray(fc.tuple(fc.nat(300), fc.integer()), {
    selector: ([time]) => time,
    minLength: 1,
    maxLength: 60,
  })
  .map((list) => list.toSorted(([a], [b]) => a - b));
const rows = fc.dictionary(fc.constantFrom('a', 'b', 'c'), samples, {
  minKeys: 1,
  noNullPrototype: true,
});

test('overlapping blocks answer as one, the earlier block winning at equal timestamps', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(rows, { minLength: 1, maxLength: 4 }),
      fc.nat(300),
      fc.nat(300),
      async (all, a, b) => {
        const disk = new MemoryDisk();
        const blocks = await Promise.all(all.map((one, i) => writeBlock(disk, ids[i]!, one)));
        const [mint, maxt] = [Math.min(a, b), Math.max(a, b)];
        const got = await query(blocks, mint, maxt);
        for (const name of ['a', 'b', 'c']) {
          const want = new Map<number, number>();
          for (const one of all) {
            for (const [time, value] of one[name] ?? []) {
              if (time >= mint && time <= maxt && !want.has(time)) want.set(time, value);
            }
          }
          assert.deepEqual(
            got[name] ?? [],
            [...want].sort(([x], [y]) => x - y),
          );
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('deleted samples are not seen', async () => {
  const disk = new MemoryDisk();
  const list = Array.from({ length: 50 }, (_, i) => [i * 10, i] as const);
  const written = await writeBlock(disk, ids[0]!, { a: list, b: list });
  const [, second] = await written.index.allPostings();
  await disk.write(
    `/data/${ids[0]}/tombstones`,
    writeTombstones(
      new Map([
        [
          second!,
          [
            { mint: 0, maxt: 15 },
            { mint: 200, maxt: 489 },
          ],
        ],
      ]),
    ),
  );
  const got = await query([await Block.open(disk, `/data/${ids[0]}`)]);
  assert.deepEqual(got['a'], list);
  assert.deepEqual(
    got['b'],
    list.filter(([time]) => (time > 15 && time < 200) || time > 489),
  );
});

test('chunks are cut into segment files, and found in them', async () => {
  const disk = new MemoryDisk();
  const buffer = new SampleBuffer();
  for (let i = 0; i < 1000; i++) buffer.pushFloat(i * 1000, Math.sin(i));
  const labels = ['a', 'b', 'c'].map((name) => Labels.fromObject({ __name__: name }));
  const compaction = {
    level: 1,
    sources: [],
    deletable: false,
    parents: [],
    failed: false,
    hints: [],
  };
  await using writer = await BlockWriter.open(
    { ulid: ids[0]!, minTime: 0, maxTime: 1_000_000, compaction },
    { disk, directory: '/data', symbols: ['__name__', 'a', 'b', 'c'], segmentLimitBytes: 12_000 },
  );
  for (const one of labels) await writer.addSeries(one, encodeSamples(buffer));
  const meta = await writer.finish();
  assert.deepEqual(meta.stats, {
    numSamples: 3000,
    numFloatSamples: 3000,
    numHistogramSamples: 0,
    numSeries: 3,
    numChunks: 27,
    numTombstones: 0,
  });
  const files = await disk.list(`/data/${ids[0]}/chunks`);
  assert.deepEqual(
    files.map((file) => file.name),
    ['000001', '000002', '000003'],
  );
  const got = await query([await Block.open(disk, `/data/${ids[0]}`)]);
  assert.equal(got['c']!.length, 1000);
  assert.deepEqual(got['c']![999], [999_000, Math.sin(999)]);
});

test('a block that is not finished leaves nothing behind', async () => {
  const disk = new MemoryDisk();
  const compaction = {
    level: 1,
    sources: [],
    deletable: false,
    parents: [],
    failed: false,
    hints: [],
  };
  {
    await using _writer = await BlockWriter.open(
      { ulid: ids[0]!, minTime: 0, maxTime: 1, compaction },
      { disk, directory: '/data', symbols: [] },
    );
  }
  assert.deepEqual(await disk.list('/data'), []);
  await assert.rejects(Block.open(disk, `/data/${ids[0]}`), NotFoundError);
});

test('samples out of order are refused with their place', async () => {
  const builder = new BlockBuilder();
  const buffer = builder.samples(Labels.fromObject({ __name__: 'up' }));
  buffer.pushFloat(10, 1);
  buffer.pushFloat(10, 2);
  await assert.rejects(builder.write(new MemoryDisk(), '/data', { ulid: ids[0]! }), {
    name: 'BadInputError',
    message: 'series up: sample 1 at 10 does not come after the one at 10',
  });
});

test('an altered byte anywhere in a block is noticed or has not been read', async () => {
  const disk = new MemoryDisk();
  const random = seededRandom(9);
  const list = Array.from(
    { length: 40 },
    (_, i) => [i * 10, randomInteger(random, 0, 1000)] as const,
  );
  const truth = { a: list, b: list, c: list };
  await writeBlock(disk, ids[0]!, truth);
  const directory = `/data/${ids[0]}`;
  const names = ['index', 'chunks/000001', 'tombstones', 'meta.json'];
  for (let round = 0; round < 2000; round++) {
    const path = `${directory}/${randomItem(random, names)}`;
    const intact = await disk.read(path);
    const bytes = intact.slice(
      0,
      round % 5 === 0 ? randomInteger(random, 0, intact.length) : undefined,
    );
    if (bytes.length > 0)
      bytes[randomInteger(random, 0, bytes.length - 1)]! ^= randomInteger(random, 1, 255);
    await disk.write(path, bytes);
    try {
      const got = await query([await Block.open(disk, directory)]);
      // JSON has no checksum: a digit of a time that became another leaves a valid meta.json.
      if (!path.endsWith('meta.json')) assert.deepEqual(got, truth);
    } catch (thrown) {
      assert.ok(thrown instanceof CorruptionError, String(thrown));
    }
    await disk.write(path, intact);
  }
});

test('label names and values come from the blocks within the range', async () => {
  const disk = new MemoryDisk();
  const blocks = [
    await writeBlock(disk, ids[0]!, { a: [[1, 1]], b: [[2, 2]] }),
    await writeBlock(disk, ids[1]!, { c: [[100, 1]] }),
  ];
  const queryable = new BlockQueryable(blocks);
  const context = { signal: new AbortController().signal, budget: unlimitedBudget() };
  const ask = async (matchers: readonly Matcher[], mint: number, maxt: number) =>
    (await queryable.labelValues('__name__', { matchers, mint, maxt, limit: 0 }, context)).names;
  assert.deepEqual(await ask([], 0, 1000), ['a', 'b', 'c']);
  assert.deepEqual(await ask([], 50, 1000), ['c']);
  assert.deepEqual(await ask([newMatcher('!=', '__name__', 'a')], 0, 50), ['b']);
  const names = await queryable.labelNames(
    { matchers: everything, mint: 0, maxt: 9, limit: 0 },
    context,
  );
  assert.deepEqual(names.names, ['__name__']);
});
