import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UnavailableError } from '#/lib/errors.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import type { Bucket } from '#/objstore/bucket.ts';
import {
  BLOCK_MS,
  launchStore,
  startQuery,
  startStore,
  uploadBlock,
} from './support/components.ts';
import type { Answer, RunningQuery } from './support/components.ts';
import { eventually } from './support/servers.ts';

const ask = { query: 'count by (zone) (up)', time: String(BLOCK_MS / 1000 - 60) };

function zonesOf({ body }: Answer): string[] {
  return (body.data?.result ?? []).map(({ metric }) => metric['zone'] ?? '').sort();
}

/** Everything but zone `a` is there, it is said why, and nobody may keep the answer. */
async function assertPartial(querier: RunningQuery, address: string, why: RegExp): Promise<void> {
  const answer = await querier.query(ask);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.deepEqual(zonesOf(answer), ['b', 'c']);
  assert.match(answer.body.warnings!.join('\n'), why);
  assert.equal(answer.cacheControl, 'no-store');
  assert.equal(answer.body.missing![0]!.address, address);
  assert.match(answer.body.missing![0]!.reasons.join('\n'), why);
  const strict = await querier.query({ ...ask, partial_response: 'false' });
  assert.equal(strict.status, 422, JSON.stringify(strict.body));
  assert.equal(strict.body.errorType, 'execution');
  assert.match(strict.body.error!, why);
  assert.equal(strict.cacheControl, 'no-store');
}

async function threeBlocks() {
  const bucket = new MemoryBucket();
  const [a] = [await uploadBlock(bucket, 'a')];
  await uploadBlock(bucket, 'b');
  await uploadBlock(bucket, 'c');
  return { bucket, ulid: a.ulid };
}

describe('a damaged block', () => {
  const damages: [
    what: string,
    file: string,
    change: (bytes: Uint8Array) => Uint8Array,
    why: RegExp,
  ][] = [
    [
      'chunks of zeros',
      'chunks/000001',
      (bytes) => bytes.fill(0, 8),
      /block \w+: chunks\/000001: chunk at offset 8: crc32c of a chunk is 0x/,
    ],
    [
      'chunks that end early',
      'chunks/000001',
      (bytes) => bytes.slice(0, 9),
      /block \w+: chunks\/000001: chunk at offset 8: found \d+ bytes?, expected|block \w+: chunks\/000001/,
    ],
    [
      'an empty index',
      'index',
      () => new Uint8Array(),
      /block \w+: index: 0 bytes is too short for one/,
    ],
    ['an index that ends early', 'index', (bytes) => bytes.slice(0, -20), /block \w+: index/],
    ['an index of something else', 'index', (bytes) => bytes.fill(0x2a), /block \w+: index/],
  ];
  for (const [what, file, change, why] of damages) {
    test(`does not hide the others: ${what}`, async () => {
      const { bucket, ulid } = await threeBlocks();
      const name = `${ulid}/${file}`;
      await bucket.upload(name, change((await bucket.read(name)).slice()));
      await using store = await startStore(bucket);
      await using querier = await startQuery([store.grpc]);
      await assertPartial(querier, store.grpc, why);
    });
  }

  test('is answered again when it is mended', async () => {
    const { bucket, ulid } = await threeBlocks();
    const index = await bucket.read(`${ulid}/index`);
    await bucket.upload(`${ulid}/index`, index.slice(0, 100));
    await using store = await startStore(bucket);
    await using querier = await startQuery([store.grpc]);
    assert.deepEqual(zonesOf(await querier.query(ask)), ['b', 'c']);
    await bucket.upload(`${ulid}/index`, index);
    const answer = await eventually('the block is whole', async () => {
      const found = await querier.query(ask);
      return zonesOf(found).length === 3 ? found : undefined;
    });
    assert.equal(answer.body.warnings, undefined);
    assert.match(await store.metrics.text(), /indexheader_lazy_load_failed_total [1-9]/);
  });

  test('without a readable meta.json is left out, counted and retried', async () => {
    const { bucket, ulid } = await threeBlocks();
    const meta = await bucket.read(`${ulid}/meta.json`);
    await bucket.upload(`${ulid}/meta.json`, meta.slice(0, 40));
    await bucket.upload('01ARZ3NDEKTSV4RRFFQ69G5FAV/index', new Uint8Array(5));
    await using store = await startStore(bucket);
    await using querier = await startQuery([store.grpc]);
    assert.deepEqual(zonesOf(await querier.query(ask)), ['b', 'c']);
    const text = await store.metrics.text();
    assert.match(text, /thanos_blocks_meta_synced\{state="corrupted-meta-json"\} 1/);
    assert.match(text, /thanos_blocks_meta_synced\{state="no-meta-json"\} 1/);
    assert.match(text, /thanos_blocks_meta_synced\{state="loaded"\} 2/);
    const lines = store.log.lines.filter(({ level }) => level === 'warn');
    assert.ok(
      lines.some(({ fields }) => JSON.stringify(fields).includes(ulid)),
      JSON.stringify(lines),
    );
    await bucket.upload(`${ulid}/meta.json`, meta);
    await eventually('the block is served', async () => {
      return zonesOf(await querier.query(ask)).length === 3 || undefined;
    });
  });
});

/** A bucket whose operations wait for, or fail by, what a test says. */
function faulty(bucket: MemoryBucket) {
  const state: { fault?: (name: string, signal?: AbortSignal) => Promise<void> } = {};
  const check = (name: string, signal?: AbortSignal) =>
    state.fault?.(name, signal) ?? Promise.resolve();
  const wrapped: Bucket = {
    name: 's3://metrics',
    async *list(prefix, options) {
      await check(prefix, options?.signal);
      yield* bucket.list(prefix, options);
    },
    read: async (name, options) => {
      await check(name, options?.signal);
      return bucket.read(name, options);
    },
    async *readStream(name, options) {
      await check(name, options?.signal);
      yield* bucket.readStream(name, options);
    },
    attributes: async (name, options) => {
      await check(name, options?.signal);
      return bucket.attributes(name, options);
    },
    upload: (name, content, options) => bucket.upload(name, content, options),
    remove: (name, options) => bucket.remove(name, options),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { bucket: wrapped, state };
}

const unreachable = () =>
  Promise.reject(new UnavailableError('cannot reach s3://metrics: ECONNREFUSED'));

describe('a bucket', () => {
  test('that cannot be reached later: what is known is served, and it recovers', async () => {
    const { bucket: memory } = await threeBlocks();
    const { bucket, state } = faulty(memory);
    await using store = await startStore(bucket);
    await using querier = await startQuery([store.grpc]);
    assert.deepEqual(zonesOf(await querier.query(ask)), ['a', 'b', 'c']);
    state.fault = unreachable;
    await eventually('the store notices', async () => {
      return (
        store.log.lines.some(({ message }) => message.includes('serving what is known')) ||
        undefined
      );
    });
    const answer = await querier.query(ask);
    assert.equal(answer.status, 200);
    assert.match(answer.body.warnings!.join(), /cannot reach s3:\/\/metrics/);
    assert.equal(answer.cacheControl, 'no-store');
    assert.equal(store.probe.isReady, true);
    delete state.fault;
    const again = await querier.query(ask);
    assert.deepEqual(zonesOf(again), ['a', 'b', 'c']);
    assert.equal(again.body.warnings, undefined);
  });

  test('that hangs for one block holds up no other query', async () => {
    const { bucket: memory, ulid } = await threeBlocks();
    const { bucket, state } = faulty(memory);
    await using store = await startStore(bucket, { intervalMs: 60_000 });
    await using querier = await startQuery([store.grpc]);
    assert.deepEqual(zonesOf(await querier.query(ask)), ['a', 'b', 'c']);
    let hanging = 0;
    state.fault = (name, signal) => {
      if (!name.startsWith(ulid)) return Promise.resolve();
      hanging++;
      return new Promise((_, reject) => {
        const abort = () => {
          hanging--;
          reject(signal!.reason as Error);
        };
        signal!.addEventListener('abort', abort, { once: true });
      });
    };
    const before = performance.now();
    const slow = querier.query({ ...ask, timeout: '1s' });
    const other = await querier.query({ ...ask, query: 'count by (zone) (up{zone="b"})' });
    assert.deepEqual(zonesOf(other), ['b']);
    const { status, body } = await slow;
    assert.equal(status, 503, JSON.stringify(body));
    assert.equal(body.errorType, 'timeout');
    assert.ok(performance.now() - before < 4000);
    await eventually('the reads are given up', async () => (hanging === 0 ? true : undefined));
  });

  test('that cannot be reached at the start is tried again', async () => {
    const { bucket: memory } = await threeBlocks();
    const { bucket, state } = faulty(memory);
    state.fault = unreachable;
    await using store = await launchStore(bucket);
    await eventually('the store tries', async () => {
      return store.log.lines.some(({ message }) => message.includes('trying again')) || undefined;
    });
    assert.equal(store.probe.isReady, false);
    delete state.fault;
    await eventually('the store is ready', async () => store.probe.isReady || undefined);
  });
});
