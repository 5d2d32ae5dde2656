import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CorruptionError } from '#/lib/errors.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { compareUtf8 } from '#/lib/utf8.ts';
import { compareLabels, Labels } from '#/model/labels.ts';
import { matchesAll, newMatcher } from '#/model/matcher.ts';
import type { MatchType } from '#/model/matcher.ts';
import { memoryRangeReader } from '#/storage/range-reader.ts';
import { IndexReader } from './index.ts';
import type { ChunkMeta } from './index.ts';
import { IndexWriter } from './index-writer.ts';

interface Row {
  readonly labels: Labels;
  readonly chunks: readonly ChunkMeta[];
}

async function write(rows: readonly Row[]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const symbols = [...new Set(rows.flatMap(({ labels }) => labels.flat))].sort(compareUtf8);
  const writer = await IndexWriter.open(
    (bytes) => Promise.resolve(void pieces.push(bytes)),
    symbols,
  );
  for (const { labels, chunks } of rows) await writer.addSeries(labels, chunks);
  const size = await writer.finish();
  const bytes = new Uint8Array(Buffer.concat(pieces));
  assert.equal(bytes.length, size);
  return bytes;
}

async function readAll(index: IndexReader, series: Uint32Array): Promise<Row[]> {
  const rows: Row[] = [];
  await index.forEachSeries(series, (entry) => {
    rows.push({ labels: index.labelsOf(entry), chunks: entry.chunksIn(-Infinity, Infinity) });
  });
  return rows;
}

const name = fc.constantFrom('a', 'b', 'job', '__name__', 'é', '😀', '\uffff');
const value = fc.oneof(fc.constantFrom('1', '2', '😀', '\uffff'), fc.string({ maxLength: 40 }));
const labelSet = fc
  .dictionary(name, value, { minKeys: 1 })
  .map((object) => Labels.fromObject(object));
const chunkList = fc.array(fc.tuple(fc.integer({ min: 1, max: 1e9 }), fc.nat(1e7)), {
  maxLength: 5,
});
const table = fc
  .uniqueArray(fc.tuple(labelSet, chunkList), { selector: ([labels]) => labels.key, maxLength: 90 })
  .map((pairs) => {
    let ref = 8;
    return pairs
      .toSorted(([a], [b]) => compareLabels(a, b))
      .map(([labels, spans]): Row => {
        let last = -5000;
        const chunks = spans.map(([gap, length]) => {
          const mint = last + gap;
          last = mint + length;
          return { mint, maxt: last, ref: (ref += 40) };
        });
        return { labels, chunks };
      });
  });

test('an index gives back its series, names and values', async () => {
  await fc.assert(
    fc.asyncProperty(table, async (rows) => {
      const index = await IndexReader.open(memoryRangeReader(await write(rows)));
      const all = await readAll(index, await index.allPostings());
      assert.deepEqual(all.map(plain), rows.map(plain));
      const names = [...new Set(rows.flatMap((row) => [...row.labels].map((label) => label.name)))];
      assert.deepEqual(index.labelNames(), names.sort(compareUtf8));
      for (const label of names) {
        const values = new Set(
          rows.map((row) => row.labels.get(label)).filter((text) => text !== ''),
        );
        assert.deepEqual(index.labelValues(label), [...values].sort(compareUtf8));
      }
      for (const [ref, symbol] of [...index.symbols].entries()) {
        assert.equal(index.symbols.find(symbol), ref);
        assert.equal(index.symbols.lookup(ref), symbol);
      }
      assert.equal(index.symbols.find('no such symbol'), undefined);
    }),
    { numRuns: 60 },
  );
});

test('select() finds exactly the series that the matchers match', async () => {
  const matcher = fc
    .tuple(
      fc.constantFrom<MatchType>('=', '!=', '=~', '!~'),
      name,
      fc.constantFrom('', '1', '2', '1|2', '.*', '.+', '1|', '[12]', '.', '😀'),
    )
    .map((parts) => newMatcher(...parts));
  await fc.assert(
    fc.asyncProperty(
      table,
      fc.array(matcher, { minLength: 1, maxLength: 4 }),
      async (rows, all) => {
        const index = await IndexReader.open(memoryRangeReader(await write(rows)));
        const found = await readAll(index, await index.select(all));
        const want = rows.filter(({ labels }) => matchesAll(all, labels));
        assert.deepEqual(
          found.map((row) => row.labels.toString()),
          want.map((row) => row.labels.toString()),
        );
      },
    ),
    { numRuns: 200 },
  );
});

test('an entry longer than a window is read whole', async () => {
  const chunks = Array.from({ length: 40_000 }, (_, i) => ({
    mint: i * 10,
    maxt: i * 10 + 5,
    ref: 8 + i * 50,
  }));
  const rows = [{ labels: Labels.fromObject({ a: '1' }), chunks }];
  const index = await IndexReader.open(memoryRangeReader(await write(rows)));
  assert.deepEqual((await readAll(index, await index.allPostings())).map(plain), rows.map(plain));
});

test('a damaged index is a CorruptionError or is not noticed because the damage is not read', async () => {
  const rows = Array.from({ length: 60 }, (_, i) => ({
    labels: Labels.fromObject({ __name__: 'up', instance: `host-${String(i).padStart(3, '0')}` }),
    chunks: [{ mint: i, maxt: i + 10, ref: 8 + i * 30 }],
  }));
  const intact = await write(rows);
  const want = JSON.stringify(rows.map(plain));
  const random = seededRandom(3);
  for (let round = 0; round < 3000; round++) {
    const bytes = intact.slice(
      0,
      round % 4 === 0 ? randomInteger(random, 0, intact.length) : undefined,
    );
    for (let flips = randomInteger(random, 1, 3); flips > 0 && bytes.length > 0; flips--) {
      bytes[randomInteger(random, 0, bytes.length - 1)]! ^= randomInteger(random, 1, 255);
    }
    try {
      const index = await IndexReader.open(memoryRangeReader(bytes));
      const found = await readAll(index, await index.allPostings());
      assert.equal(JSON.stringify(found.map(plain)), want);
      assert.equal((await index.select([newMatcher('=', 'instance', 'host-007')])).length, 1);
    } catch (thrown) {
      assert.ok(thrown instanceof CorruptionError, String(thrown));
    }
  }
});

function plain({ labels, chunks }: Row) {
  return { labels: labels.toObject(), chunks };
}
