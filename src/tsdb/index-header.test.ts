import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptionError } from '#/lib/errors.ts';
import { randomInteger, seededRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { memoryRangeReader } from '#/storage/range-reader.ts';
import { symbolsOf } from './block-builder.ts';
import { buildIndexHeader, IndexHeader } from './index-header.ts';
import { IndexReader, SeriesEntry } from './index.ts';
import { IndexWriter } from './index-writer.ts';
import { decodePostings } from './postings.ts';

const labelSets = Array.from({ length: 150 }, (_, i) =>
  Labels.fromObject({
    __name__: 'up',
    instance: `h${String(i).padStart(3, '0')}`,
    job: `j${i % 3}`,
  }),
);

async function indexBytes(): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const sink = (bytes: Uint8Array) => Promise.resolve(void pieces.push(bytes));
  const writer = await IndexWriter.open(sink, symbolsOf(labelSets));
  for (const labels of labelSets) await writer.addSeries(labels, [{ mint: 1, maxt: 2, ref: 8 }]);
  await writer.finish();
  return new Uint8Array(Buffer.concat(pieces));
}

test('an index-header answers as the index does', async () => {
  const bytes = await indexBytes();
  const index = await IndexReader.open(memoryRangeReader(bytes));
  const header = IndexHeader.open(await buildIndexHeader(memoryRangeReader(bytes)));
  assert.deepEqual(header.labelNames(), index.labelNames());
  for (const name of ['', ...header.labelNames()]) {
    assert.deepEqual(header.labelValues(name), index.labelValues(name));
    for (const value of header.labelValues(name)) {
      const range = header.postingsRange(name, value)!;
      const postings = decodePostings(bytes.subarray(range.start, range.end));
      assert.deepEqual(postings, await index.postings(name, value));
    }
  }
  assert.equal(header.postingsRange('job', 'j9'), undefined);
  assert.equal(header.postingsRange('nope', 'j1'), undefined);
  const entry = new SeriesEntry();
  const [first] = await index.allPostings();
  const offset = header.seriesOffset(first!);
  entry.decode(bytes.subarray(offset + 1, offset + 1 + bytes[offset]!));
  assert.ok(entry.labels((ref) => header.symbol(ref)).equals(labelSets[0]!));
  assert.equal(header.symbol(header.symbolRef('h042')!), 'h042');
});

test('a damaged index-header says so, to be built anew', async () => {
  const intact = await buildIndexHeader(memoryRangeReader(await indexBytes()));
  const random = seededRandom(5);
  for (let round = 0; round < 2000; round++) {
    const bytes = intact.slice();
    const at = randomInteger(random, 0, bytes.length - 1);
    bytes[at]! ^= randomInteger(random, 1, 255);
    // The version of the index has no checksum: 1 for 2 cannot be told.
    if (bytes[5] === 1) continue;
    assert.throws(() => IndexHeader.open(bytes), CorruptionError, `byte ${at}`);
  }
  for (let length = 0; length < intact.length; length += 7) {
    assert.throws(() => IndexHeader.open(intact.subarray(0, length)), CorruptionError);
  }
});
