import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { LruByteCache } from '#/cache/lru.ts';
import { NotFoundError } from '#/lib/errors.ts';
import { ManualClock } from '#/lib/manual-clock.ts';
import type { Bucket, OperationOptions, ReadOptions } from '#/objstore/bucket.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { cachingBucket } from './caching-bucket.ts';
import type { CachingSettings } from './caching-bucket.ts';

const SEGMENT = '01J00000000000000000000000/chunks/000001';
const META = '01J00000000000000000000000/meta.json';
const MARK = '01J00000000000000000000000/deletion-mark.json';
const SIZE = 1000;
const content = Uint8Array.from({ length: 10_500 }, (_, i) => i * 7 + (i >> 8));

const settings: CachingSettings = {
  subrangeBytes: SIZE,
  maxRangeRequests: 3,
  maxMetafileBytes: 100,
  chunkAttributesTtlMs: 60_000,
  subrangeTtlMs: 60_000,
  listingTtlMs: 5000,
  existsTtlMs: 20_000,
  missingTtlMs: 10_000,
  contentTtlMs: 60_000,
};

/** A bucket that writes down what it is asked for. */
function recording(bucket: MemoryBucket) {
  const asked: string[] = [];
  const options: OperationOptions[] = [];
  const recorded: Bucket = {
    name: bucket.name,
    list: (prefix, of) => {
      asked.push(`list ${prefix}`);
      return bucket.list(prefix, of);
    },
    read: (name, of: ReadOptions = {}) => {
      asked.push(`read ${of.offset ?? 0}+${of.length ?? 'all'}`);
      options.push(of);
      return bucket.read(name, of);
    },
    readStream: (name, of) => bucket.readStream(name, of),
    attributes: (name, of) => {
      asked.push('attributes');
      return bucket.attributes(name, of);
    },
    upload: (name, bytes, of) => bucket.upload(name, bytes, of),
    remove: (name, of) => bucket.remove(name, of),
    [Symbol.asyncDispose]: () => bucket[Symbol.asyncDispose](),
  };
  return { recorded, asked, options };
}

async function newBucket(overrides: Partial<CachingSettings> = {}) {
  const memory = new MemoryBucket();
  await memory.upload(SEGMENT, content);
  const clock = new ManualClock(1000);
  const cache = new LruByteCache({ maxBytes: 1e7, maxItemBytes: 1e7, clock });
  const { recorded, asked, options } = recording(memory);
  const metrics = new Metrics();
  const bucket = cachingBucket({
    bucket: recorded,
    cache,
    identity: 'id',
    settings: { ...settings, ...overrides },
    clock,
    metrics,
  });
  const take = () => asked.splice(0);
  const read = (offset: number, length: number, of: ReadOptions = {}) =>
    bucket.read(SEGMENT, { offset, length, ...of });
  return { memory, clock, cache, bucket, read, take, options, metrics };
}

const slice = (offset: number, length: number) => content.slice(offset, offset + length);

describe('parts of chunk files', () => {
  test('are read in aligned requests, and from the cache the next time', async () => {
    const { read, take } = await newBucket();
    assert.deepEqual(await read(1500, 1000), slice(1500, 1000));
    assert.deepEqual(take(), ['read 1000+2000']);
    assert.deepEqual(await read(1000, 2000), slice(1000, 2000));
    assert.deepEqual(take(), []);
    assert.deepEqual(await read(900, 200), slice(900, 200));
    assert.deepEqual(take(), ['read 0+1000']);
  });

  test('end with the object', async () => {
    const { read, take } = await newBucket();
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(await read(9900, 5000), slice(9900, 5000));
      assert.deepEqual(await read(10_500, 10), new Uint8Array());
    }
    assert.deepEqual(take(), ['read 9000+6000', 'read 11000+4000']);
  });

  test('that are missing are joined until the requests are few enough', async () => {
    const { read, take, metrics } = await newBucket({ maxRangeRequests: 2 });
    for (const at of [1000, 4000, 8000]) await read(at, at === 4000 ? 2000 : 1000);
    take();
    assert.deepEqual(await read(0, 10_000), slice(0, 10_000));
    assert.deepEqual(take().sort(), ['read 0+4000', 'read 6000+4000']);
    const text = await metrics.text();
    assert.match(text, /getrange_refetched_bytes_total\{origin="cache",config="chunks"\} 2000/);
  });

  test('that several want at once are asked for once', async () => {
    const { read, take } = await newBucket();
    const wanted = [
      [0, 3000],
      [1500, 3000],
      [2000, 500],
    ] as const;
    const found = await Promise.all(wanted.map(([offset, length]) => read(offset, length)));
    for (const [i, [offset, length]] of wanted.entries()) {
      assert.deepEqual(found[i], slice(offset, length));
    }
    assert.deepEqual(take(), ['read 0+3000', 'read 3000+2000']);
  });

  test('are still read for others when the one who asked gives up', async () => {
    const { read, take } = await newBucket();
    const stop = new AbortController();
    const first = read(0, 1000, { signal: stop.signal });
    const second = read(500, 100);
    const alone = read(5000, 100, { signal: stop.signal });
    await Promise.resolve();
    stop.abort(new Error('gave up'));
    await assert.rejects(first, /gave up/);
    await assert.rejects(alone, /gave up/);
    assert.deepEqual(await second, slice(500, 100));
    take();
    assert.deepEqual(await read(5000, 100), slice(5000, 100));
  });

  test('are read past the cache when they must be fresh, and replace what it had', async () => {
    const { memory, read, take } = await newBucket();
    await read(0, 2000);
    await memory.upload(
      SEGMENT,
      content.map((byte) => byte ^ 1),
    );
    take();
    assert.deepEqual(await read(0, 2000), slice(0, 2000));
    const changed = slice(0, 2000).map((byte) => byte ^ 1);
    assert.deepEqual(await read(0, 2000, { fresh: true }), changed);
    assert.deepEqual(await read(0, 2000), changed);
    assert.deepEqual(take(), ['read 0+2000']);
  });

  test('that do not fit together are read again', async () => {
    const { memory, read } = await newBucket();
    await memory.upload(SEGMENT, content.subarray(0, 1500));
    assert.deepEqual(await read(1000, 1000), slice(1000, 500));
    await memory.upload(SEGMENT, content);
    assert.deepEqual(await read(0, 3000), slice(0, 3000));
  });

  test('are asked for with the options of the caller', async () => {
    const { read, options } = await newBucket();
    await read(0, 10, { reason: 'chunks' });
    assert.equal(options[0]!.reason, 'chunks');
  });

  test('equal those of the bucket, whatever is read in whatever order', async () => {
    const ranges = fc.array(
      fc.record({ offset: fc.nat(12_000), length: fc.integer({ min: 1, max: 6000 }) }),
      { minLength: 1, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(ranges, fc.integer({ min: 0, max: 4 }), async (list, maxRangeRequests) => {
        const { read } = await newBucket({ maxRangeRequests, subrangeBytes: 700 });
        await Promise.all(
          list.map(async ({ offset, length }, i) => {
            if (i % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
            assert.deepEqual(await read(offset, length), slice(offset, length));
          }),
        );
      }),
      { numRuns: 50 },
    );
  });
});

describe('metafiles', () => {
  const bytes = new TextEncoder().encode('{"a":1}');

  test('are kept with their attributes; a missing one is found when its time has passed', async () => {
    const { memory, clock, bucket, take } = await newBucket();
    for (let round = 0; round < 2; round++) {
      await assert.rejects(bucket.read(META), NotFoundError);
      assert.equal(await bucket.attributes(META), undefined);
    }
    assert.deepEqual(take(), ['read 0+all']);
    await memory.upload(META, bytes);
    await assert.rejects(bucket.read(META), NotFoundError);
    await clock.advance(10_000);
    for (let round = 0; round < 2; round++) {
      assert.equal((await bucket.attributes(META))?.sizeBytes, bytes.length);
      assert.deepEqual(await bucket.read(META), bytes);
    }
    assert.deepEqual(take(), ['attributes', 'read 0+all']);
    await memory.remove(META);
    await clock.advance(60_000);
    await assert.rejects(bucket.read(META), NotFoundError);
  });

  test('are read again when they must be fresh', async () => {
    const { memory, bucket } = await newBucket();
    await memory.upload(META, bytes);
    await bucket.read(META);
    const changed = new TextEncoder().encode('{"a":2}');
    await memory.upload(META, changed);
    assert.deepEqual(await bucket.read(META), bytes);
    assert.deepEqual(await bucket.read(META, { fresh: true }), changed);
    assert.deepEqual(await bucket.read(META), changed);
  });

  test('that are too large are not kept', async () => {
    const { memory, bucket, take } = await newBucket();
    await memory.upload(META, new Uint8Array(101));
    await bucket.read(META);
    await bucket.read(META);
    assert.equal(take().length, 2);
  });

  test('a deletion mark that is taken back is seen as soon as a new one would be', async () => {
    const { memory, clock, bucket } = await newBucket();
    await memory.upload(MARK, bytes);
    assert.deepEqual(await bucket.read(MARK), bytes);
    await memory.remove(MARK);
    await clock.advance(9999);
    assert.deepEqual(await bucket.read(MARK), bytes);
    await clock.advance(1);
    await assert.rejects(bucket.read(MARK), NotFoundError);
  });
});

test('the listing of everything is kept for its time, of one level and of all apart', async () => {
  const { memory, clock, bucket, take } = await newBucket();
  const list = async (recursive: boolean) => {
    const names: string[] = [];
    for await (const { name } of bucket.list('', { recursive })) names.push(name);
    return names;
  };
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(await list(false), ['01J00000000000000000000000/']);
    assert.deepEqual(await list(true), [SEGMENT]);
  }
  await memory.upload('new/meta.json', new Uint8Array(1));
  assert.equal((await list(true)).length, 1);
  assert.deepEqual(take(), ['list ', 'list ']);
  await clock.advance(5000);
  assert.equal((await list(true)).length, 2);
});

test('a listing that breaks off, or that nobody reads to its end, is not kept', async () => {
  const { bucket, take } = await newBucket();
  for (let round = 0; round < 2; round++) {
    for await (const entry of bucket.list('')) {
      assert.ok(entry.name);
      break;
    }
  }
  assert.deepEqual(take(), ['list ', 'list ']);
});

test('everything else goes to the bucket', async () => {
  const { memory, bucket, take } = await newBucket();
  await memory.upload('01J00000000000000000000000/index', content);
  for (let round = 0; round < 2; round++) {
    await bucket.read('01J00000000000000000000000/index', { offset: 10, length: 20 });
    await bucket.read(SEGMENT);
  }
  assert.deepEqual(take(), ['read 10+20', 'read 0+all', 'read 10+20', 'read 0+all']);
});
