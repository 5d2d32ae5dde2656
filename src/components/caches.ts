import type { ConnectionOptions } from 'node:tls';
import type { ByteCache } from '#/cache/cache.ts';
import type { CacheBackend, CacheTlsConfig, MemcachedConfig, RedisConfig } from '#/cache/config.ts';
import { LruByteCache } from '#/cache/lru.ts';
import { openMemcached } from '#/cache/memcached.ts';
import { openRedis } from '#/cache/redis.ts';
import { RemoteCache } from '#/cache/remote.ts';
import { DnsResolver } from '#/discovery/dns.ts';
import type { Disk } from '#/lib/disk.ts';
import { BadInputError } from '#/lib/errors.ts';
import type { Runtime } from './runtime.ts';

export interface OpenCache extends AsyncDisposable {
  readonly bytes: ByteCache;
  /** The cache itself, when it is in this process. */
  readonly lru?: LruByteCache;
}

interface CachePurpose {
  /** The label `name` of its metrics: `index-cache`, `caching-bucket`. */
  readonly name: string;
  /** How long entries are kept on servers when nobody says. */
  readonly ttlMs: number;
}

/** Opens a cache. Servers that cannot be reached are no failure: they are tried again. */
export async function openCache(
  backend: CacheBackend,
  { name, ttlMs }: CachePurpose,
  runtime: Runtime,
): Promise<OpenCache> {
  switch (backend.kind) {
    case 'in-memory': {
      const lru = new LruByteCache({ ...backend, clock: runtime.clock });
      return { bytes: lru, lru, [Symbol.asyncDispose]: () => Promise.resolve() };
    }
    case 'memcached':
      return remote(await openMemcachedCache(backend.config, name, ttlMs, runtime));
    case 'redis':
      return remote(await openRedisCache(backend.config, name, ttlMs, runtime));
  }
}

function remote(cache: RemoteCache): OpenCache {
  return { bytes: cache, [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose]() };
}

/** What a value's frame adds (cache/frame.ts), with room. */
const FRAME_BYTES = 64;
/** Believed of a server while the configuration has no bound. */
const MAX_VALUE_BYTES = 128 * 1024 * 1024;

async function openMemcachedCache(
  config: MemcachedConfig,
  name: string,
  ttlMs: number,
  runtime: Runtime,
): Promise<RemoteCache> {
  const { net, clock, disk, metrics } = runtime;
  const log = runtime.log.with({ cache: name });
  const servers = await openMemcached({
    addresses: config.addresses,
    source: new DnsResolver({ net, log, metrics, metricPrefix: 'thanos_memcached_' }),
    updateIntervalMs: config.dns_provider_update_interval,
    autoDiscovery: config.auto_discovery,
    timeoutMs: config.timeout,
    maxIdleConnections: config.max_idle_connections,
    maxValueBytes: (config.max_item_size || MAX_VALUE_BYTES) + FRAME_BYTES,
    ...(config.tls_enabled ? { tls: () => tlsOptions(config.tls_config, disk) } : {}),
    net,
    clock,
    log,
  });
  return new RemoteCache({
    name,
    servers,
    ttlMs,
    maxItemBytes: config.max_item_size,
    getTimeoutMs: config.timeout,
    setTimeoutMs: config.timeout,
    getConcurrency: config.max_get_multi_concurrency,
    getBatch: config.max_get_multi_batch_size,
    setConcurrency: config.max_async_concurrency,
    setQueue: config.max_async_buffer_size,
    setBreaker: config.set_async_circuit_breaker_config,
    clock,
    log,
    metrics,
  });
}

async function openRedisCache(
  config: RedisConfig,
  name: string,
  ttlMs: number,
  runtime: Runtime,
): Promise<RemoteCache> {
  const { clock, disk, metrics } = runtime;
  const log = runtime.log.with({ cache: name });
  const servers = await openRedis({
    addresses: config.addr,
    masterName: config.master_name,
    prefix: config.prefix,
    username: config.username,
    password: config.password,
    database: config.db,
    dialTimeoutMs: config.dial_timeout,
    readTimeoutMs: config.read_timeout,
    tls: config.tls_enabled ? await tlsOptions(config.tls_config, disk) : undefined,
    clock,
    log,
  });
  return new RemoteCache({
    name,
    servers,
    ttlMs,
    maxItemBytes: MAX_VALUE_BYTES,
    getTimeoutMs: config.read_timeout,
    setTimeoutMs: config.write_timeout,
    getConcurrency: config.max_get_multi_concurrency,
    getBatch: config.get_multi_batch_size,
    setConcurrency: config.max_async_concurrency,
    setQueue: config.max_async_buffer_size,
    setBreaker: config.set_async_circuit_breaker_config,
    clock,
    log,
    metrics,
  });
}

async function tlsOptions(config: CacheTlsConfig, disk: Disk): Promise<ConnectionOptions> {
  const file = async (key: string, path: string) => {
    try {
      return Buffer.from(await disk.read(path));
    } catch (cause) {
      throw new BadInputError(`tls_config: "${key}" is "${path}", which cannot be read`, { cause });
    }
  };
  const { min_version: version } = config;
  return {
    rejectUnauthorized: !config.insecure_skip_verify,
    ...(config.ca_file === '' ? {} : { ca: await file('ca_file', config.ca_file) }),
    ...(config.cert_file === '' ? {} : { cert: await file('cert_file', config.cert_file) }),
    ...(config.key_file === '' ? {} : { key: await file('key_file', config.key_file) }),
    ...(config.server_name === '' ? {} : { servername: config.server_name }),
    ...(version === '' ? {} : { minVersion: `TLSv${version}` as 'TLSv1.3' }),
  };
}
