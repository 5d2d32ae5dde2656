import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LruByteCache } from '#/cache/lru.ts';
import { systemClock } from '#/lib/clock.ts';
import { CorruptionError, LimitError } from '#/lib/errors.ts';
import { Gate } from '#/lib/gate.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { compareLabels, Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { meteredBucket } from '#/objstore/metered.ts';
import { listPrices } from '#/objstore/request-prices.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import type { BlockMeta, ThanosMeta } from '#/tsdb/block-meta.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { BucketBlocks } from './bucket-blocks.ts';
import { BucketStore } from './bucket-store.ts';
import type { RequestLimits } from './bucket-store.ts';
import { ITEM_TYPES, indexCacheOver } from './index-cache.ts';
import type { SeriesRequest, StoreSeries } from './store.ts';

const HOUR = 3_600_000;
const STEP = 30_000;
const metering = { label: 'b', prices: listPrices('unknown'), requestPerOperation: true };
const context = { signal: new AbortController().signal, tenant: '' };

/** A bucket with two hours of two replicas, a block an hour. */
class Fixture {
  readonly disk = new MemoryDisk();
  readonly bucket = new MemoryBucket();
  readonly metas: BlockMeta[] = [];
  readonly log = new MemoryLog();
  readonly cache = new LruByteCache({ maxBytes: 1e8, maxItemBytes: 1e8, clock: systemClock });

  static async open(): Promise<Fixture> {
    const fixture = new Fixture();
    const random = seededRandom(1);
    for (const replica of ['a', 'b']) {
      for (const hour of [0, 1]) {
        const ulid = newUlid(hour * HOUR + HOUR, random);
        fixture.metas.push(await fixture.#writeBlock(ulid, hour, replica));
      }
    }
    return fixture;
  }

  async store(limits: Partial<RequestLimits> = {}, indexCache = this.cache): Promise<BucketStore> {
    return (await this.open(limits, indexCache)).store;
  }

  async open(limits: Partial<RequestLimits>, indexCache: LruByteCache) {
    const metrics = new Metrics();
    const blocks = new BucketBlocks({
      find: () => Promise.resolve({ metas: this.metas, failures: [] }),
      bucket: meteredBucket(this.bucket, metering, { clock: systemClock, metrics }),
      disk: this.disk,
      directory: '/headers',
      indexCache: indexCacheOver(indexCache, ITEM_TYPES, { clock: systemClock, metrics }),
      headerCacheBytes: 1e8,
      eagerHeaders: false,
      concurrency: 2,
      log: this.log,
      metrics,
    });
    await blocks.sync(context.signal);
    const store = new BucketStore({
      blocks,
      limits: { series: 0, samples: 0, bytes: 0, ...limits },
      gate: new Gate(2),
      timeRange: () => ({ mint: 0, maxt: 1e15 }),
      log: this.log,
      metrics,
    });
    return { store, blocks };
  }

  async #writeBlock(ulid: string, hour: number, replica: string): Promise<BlockMeta> {
    const builder = new BlockBuilder();
    for (let i = 0; i < 40; i++) {
      const samples = builder.samples(seriesLabels(i));
      for (let time = hour * HOUR; time < (hour + 1) * HOUR; time += STEP)
        samples.pushFloat(time, value(i, time));
    }
    const meta = await builder.write(this.disk, '/blocks', {
      ulid,
      minTime: hour * HOUR,
      maxTime: (hour + 1) * HOUR,
      thanos: thanosMeta(replica),
    });
    for (const name of ['chunks/000001', 'index', 'meta.json']) {
      await this.bucket.upload(`${ulid}/${name}`, await this.disk.read(`/blocks/${ulid}/${name}`));
    }
    return meta;
  }
}

function seriesLabels(i: number): Labels {
  return Labels.fromObject({ __name__: 'm', id: String(i), parity: i % 2 === 0 ? 'even' : 'odd' });
}

function value(i: number, time: number): number {
  return i * 1000 + time / STEP;
}

function thanosMeta(replica: string): ThanosMeta {
  return {
    labels: { cluster: 'x', replica },
    downsample: { resolution: 0 },
    source: 'test',
    segmentFiles: ['000001'],
    files: [],
    rewrites: [],
    indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
    uploadTime: '',
  };
}

function request(overrides: Partial<SeriesRequest> = {}): SeriesRequest {
  return {
    mint: 0,
    maxt: 2 * HOUR,
    matchers: [newMatcher('=', '__name__', 'm')],
    maxResolutionMs: 0,
    aggregates: ['raw'],
    skipChunks: false,
    partialResponse: 'WARN',
    withoutReplicaLabels: [],
    limit: 0,
    batchSize: 0,
    ...overrides,
  };
}

async function all(store: BucketStore, asked: SeriesRequest): Promise<StoreSeries[]> {
  return (await answer(store, asked)).series;
}

async function answer(
  store: BucketStore,
  asked: SeriesRequest,
): Promise<{ series: StoreSeries[]; warnings: string[] }> {
  const series: StoreSeries[] = [];
  const warnings: string[] = [];
  for await (const batch of store.series(asked, context)) {
    series.push(...batch.series);
    warnings.push(...batch.warnings);
  }
  return { series, warnings };
}

async function statsOf(store: BucketStore, asked: SeriesRequest) {
  const batches = await Array.fromAsync(store.series(asked, context));
  return batches.flatMap(({ stats }) => stats ?? []);
}

const noCache = () => new LruByteCache({ maxBytes: 1, maxItemBytes: 1, clock: systemClock });

function samplesOf({ chunks }: StoreSeries): [time: number, value: number][] {
  const samples = new SampleBuffer();
  for (const { raw } of chunks) decodeChunk(raw!, 0, 1e15, samples);
  return Array.from({ length: samples.length }, (_, i) => [samples.times[i]!, samples.values[i]!]);
}

/** What is answered is true, and complete but for one hour of one replica. */
function assertOthersWhole(
  found: readonly StoreSeries[],
  want: readonly StoreSeries[],
  replica: string,
  hour: number,
): void {
  const foundOf = new Map(found.map((series) => [series.labels.key, samplesOf(series)]));
  for (const series of want) {
    const wanted = samplesOf(series);
    const got = foundOf.get(series.labels.key) ?? [];
    const isDamaged = series.labels.get('replica') === replica;
    const must = wanted.filter(([time]) => !isDamaged || Math.floor(time / HOUR) !== hour);
    const times = new Set(got.map(([time]) => time));
    assert.deepEqual(
      got,
      wanted.filter(([time]) => times.has(time)),
    );
    assert.ok(must.every(([time]) => times.has(time)));
  }
}

describe('a bucket store', () => {
  test('answers every sample of the range, sorted, with external labels', async () => {
    const store = await (await Fixture.open()).store();
    const found = await all(store, request());
    assert.equal(found.length, 80);
    for (let i = 1; i < found.length; i++) {
      assert.ok(compareLabels(found[i - 1]!.labels, found[i]!.labels) < 0);
    }
    for (const series of found) {
      const samples = samplesOf(series);
      const i = Number(series.labels.get('id'));
      assert.equal(samples.length, (2 * HOUR) / STEP);
      assert.ok(samples.every(([time, got], k) => time === k * STEP && got === value(i, time)));
      assert.equal(series.labels.get('cluster'), 'x');
    }
  });

  test('tells whoever asks what it took of the bucket, which caches spare', async () => {
    const store = await (await Fixture.open()).store();
    const asked = request({ wantsStats: true });
    const [first] = await statsOf(store, asked);
    assert.equal(first?.blocksQueried, 4);
    const requests = Object.fromEntries(first.requests.byReason);
    assert.deepEqual(Object.keys(requests).sort(), ['chunks', 'header', 'postings', 'series']);
    assert.ok(requests['chunks']!.requests >= 4);
    assert.ok(requests['chunks']!.bytes > 4 * 40 * 100);
    const [second] = await statsOf(store, asked);
    assert.deepEqual([...second!.requests.byReason.keys()], ['chunks']);
    assert.deepEqual(await statsOf(store, request()), []);
  });

  test('reads again what was damaged on the way', async () => {
    const fixture = await Fixture.open();
    const want = await all(await fixture.store(), request());
    const read = fixture.bucket.read.bind(fixture.bucket);
    const seen = new Set<string>();
    fixture.bucket.read = async (name, options) => {
      const found = await read(name, options);
      const isHeader = options?.reason === 'header';
      const place = isHeader ? name : `${name} ${options?.offset}`;
      if (!seen.has(place)) found[found.length >> 1]! ^= 1;
      seen.add(place);
      return found;
    };
    await fixture.disk.remove('/headers');
    const store = await fixture.store({}, noCache());
    const { series, warnings } = await answer(store, request());
    assert.deepEqual(warnings, []);
    assert.deepEqual(series.map(samplesOf), want.map(samplesOf));
  });

  test('merges replicas whose labels are to be left out, each equal chunk once', async () => {
    const store = await (await Fixture.open()).store();
    const found = await all(store, request({ withoutReplicaLabels: ['replica'] }));
    assert.equal(found.length, 40);
    assert.equal(samplesOf(found[0]!).length, (2 * HOUR) / STEP);
  });

  test('answers the same from its caches', async () => {
    const fixture = await Fixture.open();
    const store = await fixture.store();
    const first = await all(store, request());
    const again = await all(store, request());
    assert.deepEqual(again, first);
    assert.ok(fixture.cache.stats('P').hits > 0);
  });

  test('takes matchers, on external labels too', async () => {
    const store = await (await Fixture.open()).store();
    const count = async (...matchers: SeriesRequest['matchers']) =>
      (await all(store, request({ matchers }))).length;
    assert.equal(await count(newMatcher('=', 'parity', 'odd')), 40);
    assert.equal(await count(newMatcher('=~', 'id', '1.'), newMatcher('!=', 'id', '13')), 18);
    assert.equal(await count(newMatcher('=', 'replica', 'b')), 40);
    assert.equal(await count(newMatcher('=', 'replica', 'c')), 0);
    assert.equal(await count(newMatcher('=', 'nothing', 'x')), 0);
    assert.equal(await count(newMatcher('=', 'nothing', '')), 80);
  });

  test('answers only chunks of the range', async () => {
    const store = await (await Fixture.open()).store();
    const found = await all(store, request({ mint: HOUR + 1, maxt: HOUR + 2 }));
    assert.ok(found.length > 0);
    for (const { chunks } of found) {
      assert.ok(chunks.every(({ mint, maxt }) => maxt >= HOUR + 1 && mint <= HOUR + 2));
    }
  });

  test('answers labels alone, and no more than the limit', async () => {
    const store = await (await Fixture.open()).store();
    const found = await all(store, request({ skipChunks: true, limit: 7 }));
    assert.equal(found.length, 7);
    assert.ok(found.every(({ chunks }) => chunks.length === 0));
  });

  test('names labels and their values', async () => {
    const store = await (await Fixture.open()).store();
    const asked = { ...request({ matchers: [] }), label: 'parity' };
    const names = await store.labelNames({ ...asked, withoutReplicaLabels: ['replica'] }, context);
    assert.deepEqual(names.names, ['__name__', 'cluster', 'id', 'parity']);
    assert.equal(names.queriedBlocks?.length, 4);
    const values = async (label: string, matchers = asked.matchers) =>
      (await store.labelValues({ ...asked, label, matchers }, context)).names;
    assert.deepEqual(await values('parity'), ['even', 'odd']);
    assert.deepEqual(await values('replica'), ['a', 'b']);
    assert.deepEqual(await values('id', [newMatcher('=~', 'id', '3|5')]), ['3', '5']);
    assert.deepEqual(await values('replica', [newMatcher('=', 'id', 'none')]), []);
  });

  test('refuses what passes a limit', async () => {
    const fixture = await Fixture.open();
    await assert.rejects(all(await fixture.store({ series: 79 }), request()), LimitError);
    await assert.rejects(all(await fixture.store({ samples: 1000 }), request()), LimitError);
    await assert.rejects(all(await fixture.store({ bytes: 1000 }), request()), LimitError);
  });

  test('takes no flipped byte of a chunk or the index for data', async () => {
    const fixture = await Fixture.open();
    const want = await all(await fixture.store(), request());
    let detected = 0;
    for (const name of ['chunks/000001', 'index']) {
      const object = `${fixture.metas[0]!.ulid}/${name}`;
      const bytes = await fixture.bucket.read(object);
      for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 60)) {
        const damaged = bytes.slice();
        damaged[at]! ^= 0x10;
        await fixture.bucket.upload(object, damaged);
        const store = await fixture.store({}, noCache());
        const strict = request({ partialResponse: 'ABORT' });
        const found = await all(store, strict).catch((thrown: unknown) => thrown);
        // What is not read cannot matter; what is read is either whole or refused.
        if (!(found instanceof CorruptionError)) {
          assert.deepEqual(found, want, `byte ${at} of ${name}`);
          continue;
        }
        detected++;
        const { series, warnings } = await answer(store, request());
        assert.ok(
          warnings.some((text) => text.startsWith(`block ${fixture.metas[0]!.ulid}: `)),
          `byte ${at} of ${name}: ${warnings.join()}`,
        );
        assertOthersWhole(series, want, 'a', 0);
      }
      await fixture.bucket.upload(object, bytes);
    }
    assert.ok(detected > 60, `${detected} detected`);
  });

  test('leaves out no more than the damaged chunk', async () => {
    const fixture = await Fixture.open();
    const want = await all(await fixture.store(), request());
    const ulid = fixture.metas[0]!.ulid;
    const object = `${ulid}/chunks/000001`;
    const bytes = (await fixture.bucket.read(object)).slice();
    bytes[20]! ^= 1;
    await fixture.bucket.upload(object, bytes);
    const store = await fixture.store({}, noCache());
    const { series, warnings } = await answer(store, request());
    assert.equal(warnings.length, 1);
    assert.match(
      warnings[0]!,
      new RegExp(
        `^block ${ulid}: chunks/000001: chunk at offset 8: crc32c of a chunk is 0x\\w+, the record says 0x\\w+$`,
      ),
    );
    const chunks = (of: readonly StoreSeries[]) => of.flatMap((one) => one.chunks).length;
    assert.equal(chunks(series), chunks(want) - 1);
    assertOthersWhole(series, want, 'a', 0);
  });

  test('answers the other blocks when one is gone, or cannot be reached', async () => {
    const fixture = await Fixture.open();
    const want = await all(await fixture.store(), request());
    const [block] = fixture.metas;
    fixture.bucket.faults = (operation) =>
      operation === `bucket.read ${block!.ulid}/index` ? 'refuse' : undefined;
    const store = await fixture.store({}, noCache());
    const broken = await answer(store, request());
    assert.match(broken.warnings.join(), new RegExp(`^block ${block!.ulid}: injected fault`));
    assertOthersWhole(broken.series, want, 'a', 0);
    const names = await store.labelNames({ ...request() }, context);
    assert.deepEqual(names.names, ['__name__', 'cluster', 'id', 'parity', 'replica']);
    assert.equal(names.warnings.length, 1);
    const strict = request({ partialResponse: 'ABORT' });
    await assert.rejects(all(store, strict), /injected fault/);
    await assert.rejects(store.labelNames(strict, context), /injected fault/);
    fixture.bucket.faults = undefined;
    await fixture.bucket.remove(`${block!.ulid}/chunks/000001`);
    const torn = await answer(store, request());
    assert.match(torn.warnings[0]!, /chunks\/000001 does not exist/);
    assertOthersWhole(torn.series, want, 'a', 0);
  });

  test('leaves out a block whose index is damaged until the next sync', async () => {
    const fixture = await Fixture.open();
    const ulid = fixture.metas[0]!.ulid;
    const whole = await fixture.bucket.read(`${ulid}/index`);
    const want = await all(await fixture.store(), request());
    await fixture.disk.remove(`/headers/${ulid}`);
    await fixture.bucket.upload(`${ulid}/index`, whole.slice(0, whole.length / 2));
    const { store, blocks } = await fixture.open({}, noCache());
    const first = await answer(store, request());
    assert.match(first.warnings.join(), new RegExp(`^block ${ulid}: index`));
    assertOthersWhole(first.series, want, 'a', 0);
    let reads = 0;
    fixture.bucket.faults = (operation) => {
      if (operation.includes(ulid)) reads++;
      return undefined;
    };
    assert.deepEqual((await answer(store, request())).warnings, first.warnings);
    assert.equal(reads, 0);
    await fixture.bucket.upload(`${ulid}/index`, whole);
    await blocks.sync(context.signal);
    assert.deepEqual(await answer(store, request()), { series: want, warnings: [] });
    assert.equal(fixture.log.lines.filter(({ level }) => level === 'warn').length, 3);
  });

  test('builds a damaged index-header anew', async () => {
    const fixture = await Fixture.open();
    const first = await all(await fixture.store(), request());
    for (const { ulid } of fixture.metas) {
      const path = `/headers/${ulid}/index-header`;
      const bytes = (await fixture.disk.read(path)).slice();
      bytes[20]! ^= 1;
      await fixture.disk.write(path, bytes);
    }
    assert.deepEqual(await all(await fixture.store(), request()), first);
    assert.ok(
      fixture.log.lines.some(({ message }) => message.startsWith('index-header is damaged')),
    );
  });

  test('drops blocks that are gone and forgets their headers', async () => {
    const fixture = await Fixture.open();
    await all(await fixture.store(), request());
    const gone = fixture.metas.shift()!;
    const store = await fixture.store();
    assert.equal(store.info().tsdbInfos.length, 2);
    assert.equal(await fixture.disk.stat(`/headers/${gone.ulid}`), undefined);
  });
});
