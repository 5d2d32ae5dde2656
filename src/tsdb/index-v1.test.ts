import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '#/lib/byte-writer.ts';
import { crc32c } from '#/lib/crc32c.ts';
import { newMatcher } from '#/model/matcher.ts';
import { memoryRangeReader } from '#/storage/range-reader.ts';
import { buildIndexHeader, IndexHeader } from './index-header.ts';
import { ChunkColumns, writeSeriesEntry } from './index/series-entry.ts';
import { INDEX_MAGIC, writeToc } from './index/toc.ts';
import { IndexReader } from './index.ts';

/** A section around what `fill` writes; returns where it begins. */
function section(out: ByteWriter, fill: (contents: ByteWriter) => void): number {
  const start = out.length;
  const contents = new ByteWriter();
  fill(contents);
  out.uint32(contents.length);
  out.bytes(contents.written());
  out.uint32(crc32c(contents.written()));
  return start;
}

/** Two series, `{a="1"}` and `{a="2"}`, the way Prometheus 2.0 wrote them. */
function indexOfVersion1(): Uint8Array {
  const out = new ByteWriter();
  out.uint32(INDEX_MAGIC);
  out.uint8(1);
  const places = new Map<string, number>();
  const symbols = section(out, (contents) => {
    contents.uint32(3);
    for (const text of ['1', '2', 'a']) {
      places.set(text, out.length + 4 + contents.length);
      contents.string(text);
    }
  });
  const seriesStart = out.length;
  const series = ['1', '2'].map((value) => {
    const offset = out.length;
    const refs = [places.get('a')!, places.get(value)!];
    const chunks = new ChunkColumns();
    chunks.push(5, 9, 8);
    writeSeriesEntry(out, new ByteWriter(), { symbols: refs, length: 2 }, chunks, 0);
    return offset;
  });
  const list = (ids: readonly number[]) =>
    section(out, (contents) => {
      contents.uint32(ids.length);
      for (const id of ids) contents.uint32(id);
    });
  const lists = [
    { name: 'a', value: '2', start: list([series[1]!]) },
    { name: '', value: '', start: list(series) },
    { name: 'a', value: '1', start: list([series[0]!]) },
  ];
  const postingsTable = section(out, (contents) => {
    contents.uint32(lists.length);
    for (const { name, value, start } of lists) {
      contents.uvarint(2);
      contents.string(name);
      contents.string(value);
      contents.uvarint(start);
    }
  });
  const postings = lists[0]!.start;
  writeToc(out, {
    symbols,
    series: seriesStart,
    labelIndices: postings,
    labelIndicesTable: postingsTable,
    postings,
    postingsTable,
  });
  return out.toBytes();
}

test('an index of version 1 is read', async () => {
  const index = await IndexReader.open(memoryRangeReader(indexOfVersion1()));
  assert.deepEqual(index.labelNames(), ['a']);
  assert.deepEqual(index.labelValues('a'), ['1', '2']);
  const found: string[] = [];
  await index.forEachSeries(await index.select([newMatcher('!=', 'a', '1')]), (entry) => {
    found.push(index.labelsOf(entry).toString());
  });
  assert.deepEqual(found, ['{a="2"}']);
  assert.equal((await index.allPostings()).length, 2);
});

test('an index-header of version 1 looks symbols up by their place in the index', async () => {
  const bytes = memoryRangeReader(indexOfVersion1());
  const header = IndexHeader.open(await buildIndexHeader(bytes));
  assert.equal(header.indexVersion, 1);
  assert.equal(header.symbol(5 + 4 + 4), '1');
  assert.deepEqual(header.labelValues('a'), ['1', '2']);
  assert.equal(header.seriesOffset(77), 77);
});
