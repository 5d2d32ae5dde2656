import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { seededRandom } from '#/lib/random.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { printBlockMeta } from '#/tsdb/block-meta.ts';
import { BUCKET_INDEX_NAME } from './bucket-index.ts';
import { BucketIndexReader } from './bucket-index-reader.ts';
import { BucketIndexWriter } from './bucket-index-writer.ts';
import { BlockFetcher } from './fetcher.ts';
import { DeduplicateFilter, MarkFilter } from './filters.ts';
import { deleteBlock } from './block-files.ts';
import { markBlock } from './markers.ts';
import { encode, idAt, never, sampleMeta, thanosSection } from './testing/sample-block.ts';

const NOW = 1_700_000_000_000;
const HOUR_MS = 3_600_000;
const [A, B, C] = [1, 2, 3].map((i) => idAt(NOW + i)) as [string, string, string];
const MARK_DELAY_MS = 24 * HOUR_MS;

interface Look {
  readonly ids: readonly string[];
  readonly requests: readonly string[];
  readonly failures: readonly Error[];
}

/** A bucket with its index writer, and a store gateway's way to look at it. */
function setUp() {
  const clock = new ManualClock(NOW);
  const bucket = new MemoryBucket({ clock });
  const log = new MemoryLog();
  const metrics = new Metrics();
  const writer = new BucketIndexWriter({
    bucket: new MemoryBucket({ clock, of: bucket }),
    concurrency: 4,
    clock,
    log: new MemoryLog(),
    metrics: new Metrics(),
  });
  const own = new MemoryBucket({ clock, of: bucket });
  const effects = { bucket: own, concurrency: 4, clock, log, metrics };
  const listing = new BucketIndexReader({ ...effects, maxAgeMs: HOUR_MS });
  const viewer = new BlockFetcher({
    ...effects,
    listing,
    disk: new MemoryDisk({ clock }),
    cacheDirectory: '/cache',
  }).view([MarkFilter.deletion({ ...effects, delayMs: MARK_DELAY_MS }), new DeduplicateFilter()]);
  const put = (id: string, sources: readonly string[] = [id]) => {
    const meta = sampleMeta({ ulid: id, ...thanosSection({ a: '1' }) });
    const text = printBlockMeta({ ...meta, compaction: { ...meta.compaction, sources } });
    return bucket.upload(`${id}/meta.json`, encode(text));
  };
  /** What a sync shows, and the requests that it makes. */
  const sync = async (): Promise<Look> => {
    const requests: string[] = [];
    const plan = own.faults;
    own.faults = (operation) => {
      requests.push(operation.replace('bucket.', ''));
      return plan?.(operation);
    };
    try {
      const { metas, failures } = await viewer.fetch(never);
      return { ids: [...metas.keys()].sort(), requests, failures };
    } finally {
      own.faults = plan;
    }
  };
  const outcome = async (wanted: string, times: number) =>
    assert.match(
      await metrics.text(),
      new RegExp(`^hindsight_bucket_index_loads_total{outcome="${wanted}"} ${times}$`, 'm'),
    );
  return { clock, bucket, own, writer, log, put, sync, outcome };
}

const LOOK = `attributes ${BUCKET_INDEX_NAME}`;
const READ = `read ${BUCKET_INDEX_NAME}`;

describe('finding blocks through the bucket index', () => {
  test('takes a look and one listing, and a read when the index has changed', async () => {
    const { clock, bucket, writer, put, sync, outcome } = setUp();
    for (let i = 0; i < 50; i++) await put(idAt(NOW + i));
    await markBlock(bucket, idAt(NOW), { kind: 'deletion', clock });
    await clock.advance(MARK_DELAY_MS + 1);
    await writer.write(never);
    const first = await sync();
    assert.equal(first.ids.length, 49);
    assert.deepEqual(first.requests, [LOOK, READ, 'list ']);
    assert.deepEqual((await sync()).requests, [LOOK, 'list ']);
    await clock.advance(600_000);
    await writer.write(never);
    assert.deepEqual((await sync()).requests, [LOOK, READ, 'list ']);
    await outcome('used', 3);
  });

  test('shows a block that came after the index at the next sync', async () => {
    const { writer, bucket, put, sync } = setUp();
    await put(A);
    await writer.write(never);
    await sync();
    await bucket.upload(`${B}/chunks/000001`, encode('x'));
    assert.deepEqual((await sync()).ids, [A]);
    await put(B);
    const { ids, requests } = await sync();
    assert.deepEqual(ids, [A, B]);
    assert.deepEqual(requests, [
      LOOK,
      'list ',
      `read ${B}/meta.json`,
      `read ${B}/deletion-mark.json`,
    ]);
  });

  test('asks for a partial block while it may be an upload, and not for ever', async () => {
    const { clock, bucket, writer, sync } = setUp();
    await bucket.upload(`${A}/chunks/000001`, encode('x'));
    await writer.write(never);
    assert.deepEqual((await sync()).requests, [LOOK, READ, 'list ', `read ${A}/meta.json`]);
    await clock.advance(49 * HOUR_MS);
    await writer.write(never);
    assert.deepEqual((await sync()).requests, [LOOK, READ, 'list ']);
  });

  test('a deleted block goes with the listing, or with the next index', async () => {
    const { bucket, writer, put, sync } = setUp();
    for (const id of [A, B, C]) await put(id);
    await bucket.upload(`${B}/index`, encode('x'));
    await writer.write(never);
    await deleteBlock(bucket, A, never);
    await bucket.remove(`${B}/meta.json`);
    assert.deepEqual((await sync()).ids, [B, C]);
    await writer.write(never);
    assert.deepEqual((await sync()).ids, [C]);
  });

  test('keeps a block that only the listing lacks', async () => {
    const { own, writer, put, sync } = setUp();
    for (const id of [A, B]) await put(id);
    await writer.write(never);
    const list = own.list.bind(own);
    own.list = async function* without(prefix, options) {
      for await (const entry of list(prefix, options)) if (!entry.name.startsWith(A)) yield entry;
    };
    const { ids, requests } = await sync();
    assert.deepEqual(ids, [A, B]);
    assert.deepEqual(requests, [LOOK, READ, 'list ', `attributes ${A}/meta.json`]);
  });

  test('a compacted block that is newer than the index takes the place of its sources', async () => {
    const { bucket, writer, put, sync } = setUp();
    for (const id of [A, B]) await put(id);
    await writer.write(never);
    assert.deepEqual((await sync()).ids, [A, B]);
    await put(C, [A, B]);
    assert.deepEqual((await sync()).ids, [C]);
    // Deleted without a delay, behind the back of the index.
    for (const id of [A, B]) await deleteBlock(bucket, id, never);
    assert.deepEqual((await sync()).ids, [C]);
    await writer.write(never);
    assert.deepEqual((await sync()).ids, [C]);
  });

  test('without one to rely on every block is looked at, which is said once', async () => {
    const { clock, bucket, writer, log, put, sync, outcome } = setUp();
    await put(A);
    assert.deepEqual((await sync()).ids, [A]);
    await sync();
    await outcome('missing', 2);
    await bucket.upload(BUCKET_INDEX_NAME, encode('hindsight-bucket-index 1 ab\nrubbish'));
    assert.deepEqual((await sync()).ids, [A]);
    await outcome('damaged', 1);
    await bucket.upload(BUCKET_INDEX_NAME, encode('hindsight-bucket-index 2 x\n'));
    assert.deepEqual((await sync()).ids, [A]);
    await outcome('newer-format', 1);
    await bucket.remove(BUCKET_INDEX_NAME);
    await writer.write(never);
    assert.deepEqual((await sync()).ids, [A]);
    await clock.advance(HOUR_MS + 1);
    // Its compactor is gone; the marks of others are still seen in time.
    await markBlock(bucket, A, { kind: 'deletion', clock });
    assert.deepEqual((await sync()).ids, [A]);
    await clock.advance(MARK_DELAY_MS + 1);
    assert.deepEqual((await sync()).ids, []);
    await outcome('old', 2);
    await writer.write(never);
    await sync();
    await outcome('used', 2);
    const warnings = log.lines.filter(({ message }) => /cannot be used/.test(message));
    assert.deepEqual(
      warnings.map(({ fields }) => fields['outcome']),
      ['missing', 'damaged', 'newer-format', 'old'],
    );
  });

  test('a clock of its writer that is ahead does not keep an index young', async () => {
    const { clock, writer, put, sync, outcome } = setUp();
    await put(A);
    clock.set(NOW + 1000 * HOUR_MS);
    await writer.write(never);
    clock.set(NOW);
    await sync();
    await outcome('used', 1);
    await clock.advance(HOUR_MS + 1);
    await sync();
    await outcome('old', 1);
  });

  test('one that cannot be read again is used while it is young', async () => {
    const { clock, bucket, own, writer, log, put, sync, outcome } = setUp();
    await put(A);
    await writer.write(never);
    await sync();
    own.faults = (operation) => (operation.includes(BUCKET_INDEX_NAME) ? 'refuse' : undefined);
    await put(B);
    assert.deepEqual((await sync()).ids, [A, B]);
    await bucket.upload(BUCKET_INDEX_NAME, encode('rubbish'));
    own.faults = undefined;
    assert.deepEqual((await sync()).ids, [A, B]);
    await outcome('used', 3);
    assert.ok(log.lines.some(({ message }) => /while it is young/.test(message)));
    await clock.advance(HOUR_MS + 1);
    assert.deepEqual((await sync()).ids, [A, B]);
    await outcome('damaged', 1);
  });
});

const nothing: Look = { ids: [], requests: [], failures: [new Error('no view')] };

/** Blocks come and go, indexes are written and a store gateway looks, in any order and with faults. */
test('a view through the index has what is whole, and nothing that never was', async () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = seededRandom(seed);
    const pick = (count: number) => Math.floor(random.next() * count);
    const { clock, bucket, own, writer, put, sync } = setUp();
    const everWhole = new Set<string>();
    const whole = new Set<string>();
    const begun: string[] = [];
    for (let step = 0; step < 40; step++) {
      await clock.advance(pick(20) * 60_000);
      const id = begun[pick(begun.length)];
      const action = pick(6);
      if (action === 0) {
        const fresh = idAt(clock.now(), seed * 1000 + step);
        begun.push(fresh);
        await bucket.upload(`${fresh}/index`, encode('x'));
      } else if (action === 1 && id !== undefined && !everWhole.has(id)) {
        await put(id);
        whole.add(id);
        everWhole.add(id);
      } else if (action === 2 && id !== undefined && whole.has(id)) {
        await deleteBlock(bucket, id, never);
        whole.delete(id);
      } else if (action === 3) await writer.attempt(never);
      else if (action > 3) {
        own.faults = () => (random.next() < 0.1 ? 'refuse' : undefined);
        const { ids, failures } = await sync().catch(() => nothing);
        own.faults = undefined;
        assert.ok(everWhole.isSupersetOf(new Set(ids)), `seed ${seed}`);
        if (failures.length === 0) assert.deepEqual(ids, [...whole].sort(), `seed ${seed}`);
      }
    }
    const { ids } = await sync();
    assert.deepEqual(ids, [...whole].sort(), `seed ${seed}`);
  }
});
