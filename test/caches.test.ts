import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { parseCachingBucketConfig } from '#/blocks/caching-bucket-config.ts';
import { parseCacheConfig } from '#/cache/config.ts';
import { openCache } from '#/components/caches.ts';
import type { OpenCache } from '#/components/caches.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { nodeNet } from '#/lib/net.ts';
import { systemRandom } from '#/lib/random.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { parseIndexCacheConfig } from '#/storeapi/index-cache.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { BLOCK_MS, startQuery, startStore, uploadBlock } from './support/components.ts';
import type { Answer, RunningQuery, StoreCaches } from './support/components.ts';
import { CA_FILE, hasCacheServer, intrude, startCacheServer } from './support/cache-servers.ts';
import type { CacheKind, Intruder, RunningCacheServer } from './support/cache-servers.ts';
import { eventually, freePort, temporaryDirectory } from './support/servers.ts';

for (const kind of ['memcached', 'redis'] as const) {
  if (hasCacheServer(kind)) describe(`${kind}`, () => against(kind));
  else test(`${kind} is left out: sh bin/setup --servers installs it`, () => undefined);
}

if (hasCacheServer('redis')) {
  test('a cluster of Redis is found behind one address of it', async () => {
    await using directory = await temporaryDirectory();
    const nodes = ['--cluster-enabled', 'yes', '--dir', directory.path];
    await using server = await startCacheServer('redis', { args: nodes });
    await using intruder = await intrude('redis', server.port);
    await intruder.ownAllSlots();
    await using cache = await open(configOf('redis', server.address));
    const keys = Array.from({ length: 200 }, (_, i) => `key-${i}`);
    await eventually('all keys are kept', async () => {
      for (const key of keys) cache.bytes.set(key, Buffer.from(key));
      const values = await cache.bytes.getMany(keys);
      const isWhole = values.every(
        (value, i) => value && Buffer.from(value).equals(Buffer.from(keys[i]!)),
      );
      return isWhole ? true : undefined;
    });
  });
}

test('a cache in memory changes no answer', async () => {
  const bucket = await newBucket();
  await using loaded = await underLoad('{ type: IN-MEMORY, config: { max_size: 1MB } }', bucket);
  await loaded.load.untilAskedTwice();
});

/** The YAML of a cache on the server, with short times so that faults show quickly. */
function configOf(kind: CacheKind, address: string, more: Record<string, unknown> = {}): string {
  const config =
    kind === 'memcached'
      ? { addresses: [address], timeout: '200ms', ...more }
      : { addr: address, dial_timeout: '1s', read_timeout: '200ms', write_timeout: '1s', ...more };
  return JSON.stringify({ type: kind, config });
}

function open(yaml: string): Promise<OpenCache> {
  return openCache(
    parseCacheConfig('test', yaml, {}).backend,
    { name: 'test', ttlMs: 60_000 },
    {
      clock: systemClock,
      random: systemRandom,
      disk: nodeDisk,
      net: nodeNet,
      log: new MemoryLog(),
      metrics: new Metrics(),
      probe: new Probe(),
      signal: new AbortController().signal,
    },
  );
}

/** Writes are not waited for, so what they did is looked for. */
function found({ bytes }: OpenCache, key: string, value: Uint8Array): Promise<true> {
  return eventually(`${key} is kept`, async () => {
    const [got] = await bytes.getMany([key]);
    return got !== undefined && Buffer.from(got).equals(value) ? true : undefined;
  });
}

function against(kind: CacheKind): void {
  test('keeps bytes of all kinds and sizes under keys of all kinds', async () => {
    await using server = await startCacheServer(kind);
    await using cache = await open(configOf(kind, server.address));
    const entries = new Map<string, Uint8Array>([
      ['empty', new Uint8Array()],
      ['ends of lines', Buffer.from('\r\nEND\r\nVALUE x 0 1\r\n')],
      ['key\r\nwith ends of lines', randomBytes(100)],
      ['ключ'.repeat(100), randomBytes(100)],
      ['large', randomBytes(900_000)],
      ...Array.from({ length: 2500 }, (_, i) => [`S:${i}`, randomBytes(50)] as const),
    ]);
    for (const [key, value] of entries) cache.bytes.set(key, value);
    await found(cache, 'S:2499', entries.get('S:2499')!);
    const keys = [...entries.keys()];
    const values = await cache.bytes.getMany([...keys, 'no such key', 'large']);
    assert.equal(values.pop()?.length, 900_000);
    assert.equal(values.pop(), undefined);
    for (const [i, key] of keys.entries()) {
      const value = values[i] ?? assert.fail(`${key} is missing`);
      assert.ok(Buffer.from(value).equals(entries.get(key)!), key);
    }
  });

  test('forgets an entry when its time has passed', async () => {
    await using server = await startCacheServer(kind);
    await using cache = await open(configOf(kind, server.address));
    await using intruder = await intrude(kind, server.port);
    cache.bytes.set('a', randomBytes(10), 1000);
    await eventually('the entry is there', async () =>
      (await intruder.keys()).length === 1 ? true : undefined,
    );
    await eventually('the server has let it go', async () =>
      (await intruder.get('hsc1:a')).length === 0 ? true : undefined,
    );
    assert.deepEqual(await cache.bytes.getMany(['a']), [undefined]);
  });

  test('speaks TLS, with a server that it can trust', async () => {
    await using server = await startCacheServer(kind, { tls: true });
    const tls = (config: Record<string, unknown>) =>
      open(configOf(kind, server.address, { tls_enabled: true, tls_config: config }));
    await using trusting = await tls({ ca_file: CA_FILE, server_name: 'localhost' });
    const value = randomBytes(50_000);
    await eventually('the value is kept', async () => {
      trusting.bytes.set('a', value);
      const [got] = await trusting.bytes.getMany(['a']);
      return got !== undefined && Buffer.from(got).equals(value) ? true : undefined;
    });
    await using careless = await tls({ insecure_skip_verify: true });
    await found(careless, 'a', value);
    for (const config of [{}, { ca_file: CA_FILE, server_name: 'elsewhere.example' }]) {
      await using wary = await tls(config);
      assert.deepEqual(await wary.bytes.getMany(['a']), [undefined]);
    }
  });

  test('starts without a server, and uses it when it has come', async () => {
    const port = await freePort();
    await using cache = await open(configOf(kind, `127.0.0.1:${port}`));
    assert.deepEqual(await cache.bytes.getMany(['a']), [undefined]);
    await using _server = await startCacheServer(kind, { port });
    await eventually('the server is used', async () => {
      cache.bytes.set('a', Buffer.from('x'));
      return (await cache.bytes.getMany(['a']))[0] === undefined ? undefined : true;
    });
  });

  test('answers stay the same while the server is killed, restarted, lies and is paused', () =>
    faults(kind));

  test('answers stay the same when the server is full', () => full(kind));
}

const QUERIES = [
  'up',
  'count(up)',
  'sum by (zone) (up)',
  'up{instance=~"0.[05]", zone!="a"}',
  'rate(up[10m])',
  'max_over_time(up{zone="b"}[1h])',
];

/** Every query at two times. */
const QUESTIONS = QUERIES.flatMap((query) =>
  [0.4, 0.9].map((share) => ({ query, time: String((BLOCK_MS * share) / 1000) })),
);

/** Asks everything again and again, and notes what is not as it should be. */
class Load implements AsyncDisposable {
  rounds = 0;
  slowestMs = 0;
  readonly wrong: string[] = [];
  readonly #expected: readonly Answer[];
  readonly #query: RunningQuery;
  readonly #clients: Promise<void>[];
  #stopped = false;

  constructor(query: RunningQuery, expected: readonly Answer[]) {
    this.#query = query;
    this.#expected = expected;
    this.#clients = [0, 5].map((first) => this.#client(first));
  }

  /** Goes on until everything was asked twice more, by both clients. */
  async untilAskedTwice(): Promise<void> {
    const until = this.rounds + 4 * QUESTIONS.length;
    await eventually('everything is asked twice', async () =>
      this.rounds >= until ? true : undefined,
    );
    assert.deepEqual(this.wrong, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #client(first: number): Promise<void> {
    for (let i = first; !this.#stopped; i++) {
      const question = QUESTIONS[i % QUESTIONS.length]!;
      const start = performance.now();
      const answer = await this.#query.query(question);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - start);
      const expected = this.#expected[i % QUESTIONS.length];
      if (JSON.stringify(answer) !== JSON.stringify(expected) && this.wrong.length < 5) {
        this.wrong.push(`${JSON.stringify(question)}: ${JSON.stringify(answer).slice(0, 500)}`);
      }
      this.rounds++;
    }
  }
}

/** A store gateway that keeps everything in the cache, a querier and its clients. */
async function underLoad(yaml: string, bucket: MemoryBucket) {
  const expected = await answersWithoutCache(bucket);
  const opened = new AsyncDisposableStack();
  const store = opened.use(await startStore(bucket, {}, cachesOf(yaml)));
  const query = opened.use(await startQuery([store.grpc]));
  const load = opened.use(new Load(query, expected));
  const sum = async (pattern: RegExp) =>
    Array.from((await store.metrics.text()).matchAll(pattern), ([, value]) => Number(value)).reduce(
      (total, value) => total + value,
      0,
    );
  const hits = () => sum(/^thanos_cache_\w+_hits_total.* (\d+)$/gm);
  return {
    load,
    rejected: () => sum(/^hindsight_cache_rejected_values_total.* (\d+)$/gm),
    refused: () => sum(/^thanos_\w+_failures_total\{.*reason="server-error".* (\d+)$/gm),
    /** Until the cache is used, and everything was asked twice since. */
    async untilWarm(): Promise<void> {
      const before = await hits();
      await eventually('the cache answers', async () =>
        (await hits()) > before + 100 ? true : undefined,
      );
      await load.untilAskedTwice();
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function newBucket(): Promise<MemoryBucket> {
  const bucket = new MemoryBucket();
  for (const zone of ['a', 'b', 'c']) await uploadBlock(bucket, zone, 60);
  return bucket;
}

async function faults(kind: CacheKind): Promise<void> {
  await using opened = new AsyncDisposableStack();
  let server: RunningCacheServer = await startCacheServer(kind);
  opened.defer(() => server[Symbol.asyncDispose]());
  const { port } = server;
  const loaded = opened.use(await underLoad(configOf(kind, server.address), await newBucket()));
  const { load, rejected } = loaded;
  await loaded.untilWarm();

  server.process.kill('SIGKILL');
  await server.process.exited;
  await load.untilAskedTwice();
  server = await startCacheServer(kind, { port });
  await loaded.untilWarm();

  for (const lie of [randomValue, otherValue, halfValue]) {
    await using intruder = await intrude(kind, port);
    const before = await rejected();
    const keys = await intruder.keys();
    assert.ok(keys.length > 100, `${keys.length} keys`);
    const next = new Map(keys.map((key, i) => [key, keys[(i + 1) % keys.length]!]));
    for (const [key, other] of next) await intruder.set(key, await lie(intruder, key, other));
    await load.untilAskedTwice();
    assert.ok((await rejected()) > before, 'the lies were read, and not believed');
    await loaded.untilWarm();
  }

  server.process.kill('SIGSTOP');
  await load.untilAskedTwice();
  server.process.kill('SIGCONT');
  await loaded.untilWarm();
  assert.ok(load.slowestMs < 5000, `the slowest answer took ${load.slowestMs} ms`);
}

async function full(kind: CacheKind): Promise<void> {
  const args = kind === 'memcached' ? ['-m', '4', '-M'] : ['--maxmemory-policy', 'noeviction'];
  await using server = await startCacheServer(kind, { args });
  {
    await using intruder = await intrude(kind, server.port);
    await intruder.fill();
  }
  await using loaded = await underLoad(configOf(kind, server.address), await newBucket());
  await loaded.load.untilAskedTwice();
  assert.ok((await loaded.refused()) > 0, 'the server has refused to keep anything');
}

function randomValue(): Promise<Uint8Array> {
  return Promise.resolve(randomBytes(200));
}

function otherValue(intruder: Intruder, _key: string, other: string): Promise<Uint8Array> {
  return intruder.get(other);
}

async function halfValue(intruder: Intruder, key: string): Promise<Uint8Array> {
  const value = await intruder.get(key);
  return value.subarray(0, value.length / 2);
}

function cachesOf(yaml: string): StoreCaches {
  return {
    indexCache: parseIndexCacheConfig('test', yaml),
    cachingBucket: { ...parseCachingBucketConfig('test', yaml), identity: 'test' },
  };
}

async function answersWithoutCache(bucket: MemoryBucket): Promise<Answer[]> {
  await using store = await startStore(bucket);
  await using query = await startQuery([store.grpc]);
  const answers: Answer[] = [];
  for (const question of QUESTIONS) answers.push(await query.query(question));
  for (const answer of answers) {
    assert.equal(answer.status, 200);
    assert.ok(answer.body.data!.result.length > 0);
  }
  return answers;
}
