import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import xxhash from 'xxhash-wasm';
import { MessageWriter } from '#/grpc/message-writer.ts';
import { SlabPool } from '#/grpc/slabs.ts';
import { Labels } from '#/model/labels.ts';
import { RequestTally } from '#/objstore/request-tally.ts';
import { SeriesResponseHints } from '#/proto/hints.ts';
import { SeriesResponse } from '#/proto/store.ts';
import type { AggrChunk, Chunk, Series } from '#/proto/types.ts';
import type { Any } from '#/proto/well-known.ts';
import { StoreStats } from '../store-stats.ts';
import type { AggregateChunk, EncodedChunk, StoreSeries } from '../store.ts';
import { SeriesDecoder } from './series-decoder.ts';
import { SeriesEncoder } from './series-encoder.ts';

const hasher = await xxhash();
const h64Raw = (data: Uint8Array) => hasher.h64Raw(data);

const text = fc.oneof(
  fc.string({ minLength: 1, maxLength: 60 }),
  fc.string({ unit: fc.constantFrom('é', '😀', '\uffff', 'a'), minLength: 1, maxLength: 200 }),
);
const labels = fc
  .array(fc.record({ name: text, value: text }), { maxLength: 8 })
  .map((pairs) => Labels.from(pairs));
const encoded: fc.Arbitrary<EncodedChunk> = fc.record(
  { encoding: fc.constantFrom(1, 2, 3), data: fc.uint8Array({ maxLength: 300 }) },
  { noNullPrototype: true },
);
const time = fc.oneof(
  fc.integer({ min: -1000, max: 1000 }),
  fc.maxSafeInteger(),
  fc.constantFrom(-(2 ** 63), 0),
);
const aggregates: fc.Arbitrary<AggregateChunk> = fc.record(
  {
    mint: time,
    maxt: time,
    raw: encoded,
    count: encoded,
    sum: encoded,
    min: encoded,
    max: encoded,
    counter: encoded,
  },
  { requiredKeys: ['mint', 'maxt'], noNullPrototype: true },
);
const series: fc.Arbitrary<StoreSeries> = fc.record({
  labels,
  chunks: fc.array(aggregates, { maxLength: 4 }),
});
const group = fc.array(series, { maxLength: 5 });

function frames(write: (out: MessageWriter) => void): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const out = new MessageWriter(new SlabPool(), (bytes) => pieces.push(bytes.slice()));
  write(out);
  out.close();
  const all = Buffer.concat(pieces);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < all.length;) {
    const end = at + 5 + all.readUInt32BE(at + 1);
    messages.push(all.subarray(at + 5, end));
    at = end;
  }
  return messages;
}

function toWire({ labels, chunks }: StoreSeries, hash: boolean): Series {
  const chunk = (one: EncodedChunk | undefined): Chunk | undefined =>
    one && {
      type: (one.encoding - 1) as Chunk['type'],
      data: one.data,
      hash: hash ? h64Raw(one.data) : 0n,
    };
  const aggregate = (one: AggregateChunk): AggrChunk => ({
    minTime: BigInt(one.mint),
    maxTime: BigInt(one.maxt),
    raw: chunk(one.raw),
    count: chunk(one.count),
    sum: chunk(one.sum),
    min: chunk(one.min),
    max: chunk(one.max),
    counter: chunk(one.counter),
  });
  return { labels: [...labels], chunks: chunks.map(aggregate) };
}

function plain({ labels, chunks }: StoreSeries) {
  return { labels: labels.flat, chunks };
}

for (const hash of [undefined, h64Raw]) {
  test(`the encoder writes what the generated one does (${hash === undefined ? 'no' : 'with'} hashes)`, () => {
    const encoder = new SeriesEncoder(hash);
    fc.assert(
      fc.property(group, (all) => {
        const wire = all.map((one) => toWire(one, hash !== undefined));
        const want = [
          ...wire.map((value) => SeriesResponse.encode({ result: { $case: 'series', value } })),
          SeriesResponse.encode({ result: { $case: 'batch', value: { series: wire } } }),
        ].map((writer) => Buffer.from(writer.finish()).toString('hex'));
        const got = frames((out) => {
          for (const one of all) encoder.series(one, out);
          encoder.batch(all, out);
        });
        assert.deepEqual(
          got.map((frame) => Buffer.from(frame).toString('hex')),
          want,
        );
      }),
    );
  });
}

test('the decoder reads what the generated encoder writes', () => {
  const decoder = new SeriesDecoder();
  fc.assert(
    fc.property(group, (all) => {
      const value = { series: all.map((one) => toWire(one, true)) };
      const frame = SeriesResponse.encode({ result: { $case: 'batch', value } }).finish();
      assert.deepEqual(decoder.decode(frame).series.map(plain), all.map(plain));
    }),
  );
});

test('series larger than a slab survive', () => {
  const data = Uint8Array.from({ length: 150_000 }, (_, i) => i);
  const chunk = { mint: 1, maxt: 2, raw: { encoding: 1, data } };
  const large = { labels: Labels.fromObject({ a: 'b' }), chunks: [chunk, chunk, chunk] };
  const [frame] = frames((out) => new SeriesEncoder().series(large, out));
  assert.deepEqual(new SeriesDecoder().decode(frame!).series.map(plain), [plain(large)]);
});

test('labels in wrong order, doubled or empty are put right', () => {
  const wire = [
    { name: 'b', value: '1' },
    { name: 'a', value: '2' },
    { name: 'c', value: '' },
  ];
  const value = { labels: wire, chunks: [] };
  const frame = SeriesResponse.encode({ result: { $case: 'series', value } }).finish();
  const [one] = new SeriesDecoder().decode(frame).series;
  assert.deepEqual(one?.labels.flat, ['a', '2', 'b', '1']);
});

test('stats come back as they were, in hints that Thanos understands', () => {
  const tally = new RequestTally();
  tally.add('postings', 2, 300);
  tally.add('chunks', 5, 70_000);
  tally.add('header', 4, 9);
  const stats = new StoreStats(3, tally);
  const [frame] = frames((out) => new SeriesEncoder().stats(stats, out));
  assert.deepEqual(new SeriesDecoder().decode(frame!), { series: [], warnings: [], stats });
  const { result } = SeriesResponse.decode(frame!);
  assert.equal(result?.$case, 'hints');
  const { queryStats } = SeriesResponseHints.decode((result.value as Any).value);
  assert.equal(queryStats?.blocksQueried, 3);
  assert.equal(queryStats.postingsFetchCount, 2);
  assert.equal(queryStats.chunksFetchedSizeSum, 70_000);
  assert.equal(queryStats.dataDownloadedSizeSum, 70_309);
});

test('warnings are read and hints of other kinds passed over', () => {
  const decoder = new SeriesDecoder();
  const warning = SeriesResponse.encode({ result: { $case: 'warning', value: 'böse' } }).finish();
  assert.deepEqual(decoder.decode(warning), { series: [], warnings: ['böse'] });
  const any = { typeUrl: 'x/y', value: Uint8Array.of(1, 2) };
  const hints = SeriesResponse.encode({ result: { $case: 'hints', value: any } }).finish();
  assert.deepEqual(decoder.decode(hints), { series: [], warnings: [] });
});

test('a damaged frame is a CorruptionError or other series, and never hangs', () => {
  const decoder = new SeriesDecoder();
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(series, damage, fc.nat(), (one, changes, cut) => {
      const [frame] = frames((out) => new SeriesEncoder().series(one, out));
      const bytes = Buffer.from(frame!.subarray(0, 1 + (cut % frame!.length)));
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      try {
        decoder.decode(bytes);
      } catch (thrown) {
        assert.equal((thrown as Error).name, 'CorruptionError');
      }
    }),
  );
});

test('a chunk that the wire has no number for is refused', () => {
  const chunk = { mint: 1, maxt: 2, raw: { encoding: 7, data: Uint8Array.of(1) } };
  const one = { labels: Labels.fromObject({ a: 'b' }), chunks: [chunk] };
  assert.throws(() => frames((out) => new SeriesEncoder().series(one, out)), /no chunk encoding 7/);
});
