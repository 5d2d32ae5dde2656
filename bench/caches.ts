import { parseCachingBucketConfig } from '#/blocks/caching-bucket-config.ts';
import { parseCacheConfig } from '#/cache/config.ts';
import { openCache } from '#/components/caches.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeDisk } from '#/lib/disk.ts';
import { nodeNet } from '#/lib/net.ts';
import { systemRandom } from '#/lib/random.ts';
import type { Bucket, ReadOptions } from '#/objstore/bucket.ts';
import { MemoryBucket } from '#/objstore/memory.ts';
import { parseIndexCacheConfig } from '#/storeapi/index-cache.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { hasCacheServer, startCacheServer } from '../test/support/cache-servers.ts';
import type { CacheKind } from '../test/support/cache-servers.ts';
import { BLOCK_MS, startQuery, startStore, uploadBlock } from '../test/support/components.ts';

/*
 * What do the caches save? For every kind: microseconds of a hit, and requests to the bucket and
 * milliseconds of a query that touches three blocks of a thousand series each, cold and warm. The
 * bucket takes 10 ms for a request. `none` is a store gateway without caches.
 */
const REQUEST_MS = 10;
const ROUNDS = 20;

let requests = 0;
const bucket = counting(new MemoryBucket());
for (const zone of ['a', 'b', 'c']) await uploadBlock(bucket, zone, 1000);

print('cache      hit 200 B  32 x 16 kB  cold requests     ms  warm requests     ms');
await bench('none', '');
await bench('in-memory', '{ type: IN-MEMORY }');
for (const kind of ['memcached', 'redis'] as const) {
  if (!hasCacheServer(kind)) {
    print(`${kind} is not here; sh bin/setup --servers installs it`);
    continue;
  }
  await using server = await startCacheServer(kind);
  await bench(kind, configOf(kind, server.address));
}

async function bench(name: string, yaml: string): Promise<void> {
  const hit = yaml === '' ? ['', ''] : await hitMicros(yaml);
  await using store = await startStore(
    bucket,
    { intervalMs: 3_600_000 },
    yaml === ''
      ? {}
      : {
          indexCache: parseIndexCacheConfig('bench', yaml),
          cachingBucket: { ...parseCachingBucketConfig('bench', yaml), identity: 'bench' },
        },
  );
  await using query = await startQuery([store.grpc]);
  const ask = async () => {
    requests = 0;
    const start = performance.now();
    const time = String((BLOCK_MS * 0.5) / 1000);
    await query.query({ query: 'sum by (zone) (rate(up[10m]))', time });
    return { requests, ms: performance.now() - start };
  };
  // The first one opens the index-headers, which are kept in any case.
  await query.query({ query: 'nothing', time: '1' });
  const cold = await ask();
  await new Promise((wake) => setTimeout(wake, 500));
  const warm = [];
  for (let i = 0; i < ROUNDS; i++) warm.push(await ask());
  const columns = [cold.requests, cold.ms, warm.at(-1)!.requests, median(warm.map(({ ms }) => ms))];
  const widths = [14, 6, 14, 6];
  const numbers = columns.map((value, i) => String(Math.round(value)).padStart(widths[i]!));
  print([name.padEnd(10), hit[0]!.padStart(9), hit[1]!.padStart(11), ...numbers].join(' '));
}

/** Medians in microseconds: one value of 200 bytes, and 32 of 16 kB at once. */
async function hitMicros(yaml: string): Promise<string[]> {
  await using cache = await openCache(
    parseCacheConfig('bench', yaml, {}).backend,
    { name: 'bench', ttlMs: 3_600_000 },
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
  const large = Array.from({ length: 32 }, (_, i) => `large-${i}`);
  cache.bytes.set('small', new Uint8Array(200).fill(1));
  for (const key of large) cache.bytes.set(key, new Uint8Array(16_000).fill(1));
  await new Promise((wake) => setTimeout(wake, 300));
  const micros: string[] = [];
  for (const keys of [['small'], large]) {
    const times: number[] = [];
    for (let i = 0; i < 2000; i++) {
      const start = performance.now();
      const found = await cache.bytes.getMany(keys);
      times.push((performance.now() - start) * 1000);
      if (found.includes(undefined)) throw new Error(`${keys[0]} is a miss`);
    }
    micros.push(median(times).toFixed(0));
  }
  return micros;
}

function configOf(kind: CacheKind, address: string): string {
  const config = kind === 'memcached' ? { addresses: [address] } : { addr: address };
  return JSON.stringify({ type: kind, config });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function counting(memory: MemoryBucket): Bucket {
  const slow = async <T>(work: () => Promise<T>): Promise<T> => {
    requests++;
    await new Promise((wake) => setTimeout(wake, REQUEST_MS));
    return work();
  };
  return {
    name: memory.name,
    list: (prefix, options) => memory.list(prefix, options),
    read: (name, options?: ReadOptions) => slow(() => memory.read(name, options)),
    readStream: (name, options) => memory.readStream(name, options),
    attributes: (name, options) => slow(() => memory.attributes(name, options)),
    upload: (name, content, options) => memory.upload(name, content, options),
    remove: (name, options) => memory.remove(name, options),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
