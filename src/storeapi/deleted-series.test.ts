import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DeletionView } from '#/blocks/deletion-view.ts';
import {
  cancelDeletion,
  deletionName,
  newDeletion,
  putDeletion,
} from '#/blocks/series-deletions.ts';
import type { NewDeletion } from '#/blocks/series-deletions.ts';
import { LruByteCache } from '#/cache/lru.ts';
import { downsampleBlock } from '#/downsample/downsample-block.ts';
import { UnavailableError } from '#/lib/errors.ts';
import { Gate } from '#/lib/gate.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { newUlid } from '#/lib/ulid.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Block } from '#/tsdb/block.ts';
import { BlockBuilder } from '#/tsdb/block-builder.ts';
import type { BlockMeta } from '#/tsdb/block-meta.ts';
import { leanRewrites } from '#/tsdb/block-rewrites.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { parseMatchers } from '#/promql/parser.ts';
import { BucketBlocks } from './bucket-blocks.ts';
import { BucketStore } from './bucket-store.ts';
import { ITEM_TYPES, indexCacheOver } from './index-cache.ts';
import type { Aggregate, LabelNamesRequest, SeriesRequest } from './store.ts';

const STEP = 15_000;
const MINUTE = 60_000;
const FIVE_MINUTES = 5 * MINUTE;
const BLOCK = 120 * MINUTE;
const END = 2 * BLOCK;
const signal = new AbortController().signal;
const context = { signal, tenant: '' };
const everything = newMatcher('=~', '__name__', '.+');
const names = ['a_total', 'b'];
const jobs = ['x', 'y', 'z'];

/** The value of the sample at `time`; a counter that is reset once in a while. */
const valueAt = (job: string, time: number) => jobs.indexOf(job) * 1000 + ((time / STEP) % 100);

/** A bucket with two raw blocks of six series, and each at five minutes. */
class Fixture {
  readonly clock = new ManualClock(END);
  readonly disk = new MemoryDisk();
  readonly bucket = new MemoryBucket({ clock: this.clock });
  readonly metas: BlockMeta[] = [];
  readonly #random = seededRandom(3);
  readonly log = new MemoryLog();
  readonly metrics = new Metrics();
  readonly deletions = new DeletionView({
    bucket: this.bucket,
    maxAgeMs: MINUTE,
    clock: this.clock,
    log: this.log,
    metrics: this.metrics,
  });
  store!: BucketStore;

  static async open(): Promise<Fixture> {
    const fixture = new Fixture();
    for (const start of [0, BLOCK]) await fixture.#write(start);
    await fixture.#openStore();
    await fixture.deletions.sync(signal);
    return fixture;
  }

  async #openStore(): Promise<void> {
    const { clock, metrics, disk, bucket, log, deletions } = this;
    const cache = new LruByteCache({ maxBytes: 1e7, maxItemBytes: 1e7, clock });
    const blocks = new BucketBlocks({
      find: () => Promise.resolve({ metas: this.metas, failures: [] }),
      bucket,
      disk,
      directory: '/headers',
      indexCache: indexCacheOver(cache, ITEM_TYPES, { clock, metrics }),
      headerCacheBytes: 1e7,
      eagerHeaders: false,
      concurrency: 2,
      log,
      metrics,
    });
    await blocks.sync(signal);
    this.store = new BucketStore({
      blocks,
      deletions,
      limits: { series: 0, samples: 0, bytes: 0 },
      gate: new Gate(2),
      timeRange: () => ({ mint: 0, maxt: 1e15 }),
      log,
      metrics,
    });
  }

  async #write(start: number): Promise<void> {
    const builder = new BlockBuilder();
    for (const name of names) {
      for (const job of jobs) {
        const samples = builder.samples(Labels.fromObject({ __name__: name, job }));
        for (let time = start; time < start + BLOCK; time += STEP) {
          samples.pushFloat(time, valueAt(job, time));
        }
      }
    }
    const ulid = newUlid(END + start, this.#random);
    const meta = await builder.write(this.disk, '/blocks', {
      ulid,
      minTime: start,
      maxTime: start + BLOCK,
      thanos: {
        labels: { cluster: 'one' },
        downsample: { resolution: 0 },
        source: 'test',
        segmentFiles: [],
        files: [],
        rewrites: [],
        indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
        uploadTime: '',
      },
    });
    const coarse = await downsampleBlock({
      block: await Block.open(this.disk, `/blocks/${ulid}`),
      toMs: FIVE_MINUTES,
      ulid: newUlid(END + start + 1, this.#random),
      disk: this.disk,
      directory: '/blocks',
    });
    for (const made of [meta, coarse]) {
      this.metas.push(made);
      for (const name of ['chunks/000001', 'index', 'meta.json']) {
        const bytes = await this.disk.read(`/blocks/${made.ulid}/${name}`);
        await this.bucket.upload(`${made.ulid}/${name}`, bytes);
      }
    }
  }

  /** Asks for a deletion, and looks for it. */
  async delete(wanted: NewDeletion): Promise<string> {
    const request = newDeletion(wanted, { clock: this.clock, random: this.#random });
    await putDeletion(this.bucket, request);
    await this.deletions.sync(signal);
    return request.id;
  }

  async cancel(id: string): Promise<void> {
    await cancelDeletion(this.bucket, id);
    await this.deletions.sync(signal);
  }

  /** The samples answered of each series, `time` or `time value`; and the warnings. */
  async samples(aggregate: Aggregate, over: Partial<SeriesRequest> = {}) {
    const maxResolutionMs = aggregate === 'raw' ? 0 : FIVE_MINUTES;
    const asked = request({ maxResolutionMs, aggregates: [aggregate], ...over });
    const found = new Map<string, Map<number, number>>();
    const warnings: string[] = [];
    for await (const batch of this.store.series(asked, context)) {
      warnings.push(...batch.warnings);
      for (const { labels, chunks } of batch.series) {
        const samples = found.getOrInsertComputed(labels.toString(), () => new Map());
        for (const chunk of chunks) {
          const buffer = new SampleBuffer();
          decodeChunk(chunk[aggregate]!, -1e15, 1e15, buffer);
          for (let i = 0; i < buffer.length; i++) {
            const time = buffer.times[i]!;
            assert.ok(time >= chunk.mint && time <= chunk.maxt, 'a chunk says what time it is of');
            if (!samples.has(time)) samples.set(time, buffer.values[i]!);
          }
        }
      }
    }
    return { found, warnings };
  }
}

function request(over: Partial<SeriesRequest> = {}): SeriesRequest {
  return {
    mint: 0,
    maxt: END,
    matchers: [everything],
    maxResolutionMs: 0,
    aggregates: ['raw'],
    skipChunks: false,
    partialResponse: 'WARN',
    withoutReplicaLabels: [],
    limit: 0,
    batchSize: 0,
    ...over,
  };
}

const nameRequest: LabelNamesRequest = { ...request(), matchers: [] };

test('deleted samples are left out of raw data, whatever is deleted of whichever series', async () => {
  const fixture = await Fixture.open();
  const before = (await fixture.samples('raw')).found;
  const deletion = fc.record({
    selectors: fc.constantFrom(['a_total'], ['{job=~"x|y"}'], ['b{cluster="one"}', '{job="z"}']),
    from: fc.integer({ min: -10, max: END + 10 }),
    length: fc.integer({ min: 0, max: END }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(deletion, { minLength: 1, maxLength: 3 }), async (wanted) => {
      const ids = [];
      for (const { selectors, from, length } of wanted) {
        if (from > END) continue;
        ids.push(await fixture.delete({ selectors, mint: from, maxt: from + length }));
      }
      const { found, warnings } = await fixture.samples('raw');
      assert.deepEqual(warnings, []);
      const isDeleted = (labels: Labels, time: number) =>
        wanted.some(({ selectors, from, length }) => {
          const isSelected = selectors.some((selector) =>
            parseMatchers(selector).every((one) => one.matches(labels.get(one.name))),
          );
          return isSelected && time >= from && time <= from + length;
        });
      for (const [text, samples] of before) {
        const labels = Labels.fromObject(
          Object.fromEntries(parseMatchers(text).map(({ name, value }) => [name, value])),
        );
        const expected = [...samples].filter(([time]) => !isDeleted(labels, time));
        assert.deepEqual([...(found.get(text) ?? [])], expected, text);
        assert.equal(found.has(text), expected.length > 0, text);
      }
      for (const id of ids) await fixture.cancel(id);
    }),
    { numRuns: 25 },
  );
  assert.deepEqual((await fixture.samples('raw')).found, before);
});

test('of downsampled data every window goes that a deleted sample may be in, and no other', async () => {
  const fixture = await Fixture.open();
  const aggregates: Aggregate[] = ['count', 'sum', 'min', 'max'];
  for (const [mint, maxt] of [
    [0, FIVE_MINUTES - 1],
    [FIVE_MINUTES - 1, FIVE_MINUTES],
    [7 * MINUTE, 41 * MINUTE],
    [BLOCK - 1, BLOCK],
    [END - MINUTE, END],
  ] as const) {
    const before = await Promise.all(aggregates.map((one) => fixture.samples(one)));
    const id = await fixture.delete({ selectors: ['a_total{job="x"}'], mint, maxt });
    for (const [i, aggregate] of aggregates.entries()) {
      const { found, warnings } = await fixture.samples(aggregate);
      assert.deepEqual(warnings, []);
      for (const [text, samples] of before[i]!.found) {
        const isSelected = text.includes('a_total') && text.includes('job="x"');
        const expected = [...samples].filter(([end]) => {
          const start = Math.floor(end / FIVE_MINUTES) * FIVE_MINUTES;
          return !isSelected || start > maxt || start + FIVE_MINUTES - 1 < mint;
        });
        assert.deepEqual([...found.get(text)!], expected, `${text} ${aggregate}`);
      }
    }
    await fixture.cancel(id);
  }
});

test('names and values of series that are gone as a whole are gone, with matchers and without', async () => {
  const fixture = await Fixture.open();
  const values = async (label: string, matchers = nameRequest.matchers) =>
    (await fixture.store.labelValues({ ...nameRequest, matchers, label }, context)).names;
  const labelNames = async () => (await fixture.store.labelNames(nameRequest, context)).names;
  assert.deepEqual(await values('__name__'), names);

  const metric = await fixture.delete({ selectors: ['b'] });
  assert.deepEqual(await values('__name__'), ['a_total']);
  assert.deepEqual(await values('__name__', [everything]), ['a_total']);
  assert.deepEqual(await values('job'), jobs);
  assert.deepEqual(await labelNames(), ['__name__', 'cluster', 'job']);
  assert.deepEqual(
    [...(await fixture.samples('raw', { skipChunks: true })).found.keys()].length,
    3,
  );

  const job = await fixture.delete({ selectors: ['{job="z"}'], mint: BLOCK - 1 });
  assert.deepEqual(await values('job'), jobs, 'the first block has z before that time');
  await fixture.cancel(job);
  const first = await fixture.delete({ selectors: ['a_total{job=~"x|y"}'] });
  assert.deepEqual(await values('job'), ['z']);
  await fixture.delete({ selectors: ['{cluster="one"}'] });
  assert.deepEqual(await labelNames(), []);
  assert.deepEqual(await values('cluster'), []);
  assert.deepEqual((await fixture.samples('raw')).found.size, 0);
  await fixture.cancel(metric);
  await fixture.cancel(first);
  assert.deepEqual(await labelNames(), []);
});

test('a block that has been through a deletion is read as ever, and others by external labels too', async () => {
  const fixture = await Fixture.open();
  await fixture.delete({ selectors: ['a_total{cluster="two"}'] });
  assert.equal((await fixture.samples('raw')).found.size, 6);
  const id = await fixture.delete({ selectors: ['a_total'] });
  const [first] = fixture.metas;
  const done = { ...first!, thanos: { ...first!.thanos!, rewrites: leanRewrites([id]) } };
  assert.deepEqual(fixture.deletions.of(done), []);
  assert.equal(fixture.deletions.of(first!).length, 1);
});

test('a deletion that cannot be read is said in every answer, and fails those that want all', async () => {
  const fixture = await Fixture.open();
  const id = newUlid(END, seededRandom(9));
  await fixture.bucket.upload(deletionName(id), new TextEncoder().encode('garbage'));
  await fixture.deletions.sync(signal);
  const { found, warnings } = await fixture.samples('raw');
  assert.equal(found.size, 6);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, new RegExp(`series-deletions/${id}: .*--cancel=${id}`));
  const { warnings: ofNames } = await fixture.store.labelNames(nameRequest, context);
  assert.deepEqual(ofNames, warnings);
  await assert.rejects(fixture.samples('raw', { partialResponse: 'ABORT' }), UnavailableError);
  await fixture.cancel(id);
  assert.deepEqual((await fixture.samples('raw')).warnings, []);
});

test('an old view of the deletions is said in every answer, and honoured', async () => {
  const fixture = await Fixture.open();
  await fixture.delete({ selectors: ['a_total'] });
  fixture.bucket.faults = () => 'refuse';
  await assert.rejects(fixture.deletions.sync(signal), UnavailableError);
  assert.deepEqual(fixture.deletions.troubles, []);
  fixture.bucket.faults = undefined;
  await fixture.clock.advance(2 * MINUTE);
  const { found, warnings } = await fixture.samples('raw');
  assert.equal(found.size, 3);
  assert.match(warnings.join(), /cannot be listed: injected fault/);
});
