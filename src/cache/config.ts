import * as v from 'valibot';
import { byteSize, goDuration, wholeNumber } from '#/config/schema.ts';
import { parseYaml } from '#/config/yaml.ts';
import { BadInputError, messageOf } from '#/lib/errors.ts';
import { splitAddress } from '#/lib/net.ts';
import type { BreakerConfig } from './breaker.ts';

const MIB = 1024 * 1024;

/** Where a cache keeps its entries. */
export type CacheBackend =
  | { readonly kind: 'in-memory'; readonly maxBytes: number; readonly maxItemBytes: number }
  | { readonly kind: 'memcached'; readonly config: MemcachedConfig }
  | { readonly kind: 'redis'; readonly config: RedisConfig };

const text = (fallback = '') => v.optional(v.string(), fallback);
const toggle = v.optional(v.boolean(), false);
const count = (fallback: number, low = 0) => v.optional(wholeNumber(low), fallback);

/** A time of 0 is the default one: nothing waits for ever. */
const timeout = (defaultMs: number) =>
  v.pipe(
    v.optional(goDuration(), defaultMs * 1e6),
    v.transform((ms) => ms || defaultMs),
  );

/** `host:port`; behind a prefix such as `dnssrv+` is a name to look up, which may have no port. */
const address = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || /^[a-z]+\+/.test(dataset.value)) return;
    try {
      splitAddress(dataset.value);
    } catch (thrown) {
      addIssue({ message: messageOf(thrown) });
    }
  }),
);

const breaker = v.optional(
  v.pipe(
    v.strictObject({
      enabled: toggle,
      half_open_max_requests: count(10),
      open_duration: v.optional(goDuration(), '5s'),
      min_requests: count(50),
      consecutive_failures: count(5),
      failure_percent: v.optional(v.number(), 0.05),
    }),
    v.check(
      (config) => !config.enabled || config.consecutive_failures > 0,
      '"consecutive_failures" of an enabled circuit breaker must be greater than 0',
    ),
    v.check(
      (config) => !config.enabled || (config.failure_percent > 0 && config.failure_percent <= 1),
      '"failure_percent" of an enabled circuit breaker must be above 0 and at most 1',
    ),
    v.transform((config): BreakerConfig | undefined =>
      config.enabled
        ? {
            halfOpenMaxRequests: config.half_open_max_requests,
            openMs: config.open_duration,
            minRequests: config.min_requests,
            consecutiveFailures: config.consecutive_failures,
            failurePercent: config.failure_percent,
          }
        : undefined,
    ),
  ),
  {},
);

const tls = {
  tls_enabled: toggle,
  tls_config: v.optional(
    v.pipe(
      v.strictObject({
        ca_file: text(),
        cert_file: text(),
        key_file: text(),
        server_name: text(),
        insecure_skip_verify: toggle,
        min_version: v.optional(v.picklist(['', '1.0', '1.1', '1.2', '1.3']), ''),
      }),
      v.check(
        (config) => (config.cert_file === '') === (config.key_file === ''),
        '"cert_file" and "key_file" belong together; set both',
      ),
    ),
    {},
  ),
};

/** TLS of Memcached is ours; Thanos has it for Redis alone. */
const memcachedSchema = v.strictObject({
  addresses: v.pipe(
    v.array(address),
    v.check((list) => list.length > 0, 'want at least one address of a server'),
  ),
  timeout: timeout(500),
  max_idle_connections: count(100),
  max_async_concurrency: count(20, 1),
  max_async_buffer_size: count(10_000),
  max_get_multi_concurrency: count(100),
  max_item_size: v.optional(byteSize(), MIB),
  max_get_multi_batch_size: count(0),
  dns_provider_update_interval: timeout(10_000),
  auto_discovery: toggle,
  set_async_circuit_breaker_config: breaker,
  ...tls,
});
export type MemcachedConfig = v.InferOutput<typeof memcachedSchema>;

/** Writes go one by one, as in Thanos, whose keys for writing several at once have no effect either. */
const redisSchema = v.strictObject({
  addr: v.pipe(
    v.string(),
    v.transform((list) => list.split(',').map((one) => one.trim())),
    v.array(address),
  ),
  prefix: text(),
  username: text(),
  password: text(),
  db: count(0),
  dial_timeout: timeout(5000),
  read_timeout: timeout(3000),
  write_timeout: timeout(3000),
  max_get_multi_concurrency: count(100),
  get_multi_batch_size: count(100),
  max_set_multi_concurrency: count(100),
  set_multi_batch_size: count(100),
  cache_size: v.optional(
    v.pipe(
      byteSize(),
      v.check((bytes) => bytes === 0, 'caching on the side of the client is not supported; want 0'),
    ),
    0,
  ),
  master_name: text(),
  max_async_buffer_size: count(10_000),
  max_async_concurrency: count(20, 1),
  set_async_circuit_breaker_config: breaker,
  ...tls,
});
export type RedisConfig = v.InferOutput<typeof redisSchema>;
export type CacheTlsConfig = RedisConfig['tls_config'];

const DEFAULT_MAX_BYTES = 250 * MIB;
const DEFAULT_MAX_ITEM_BYTES = 125 * MIB;

/** The default for single items follows a smaller cache. */
const inMemorySchema = v.pipe(
  v.strictObject({
    max_size: v.optional(byteSize(), DEFAULT_MAX_BYTES),
    max_item_size: v.optional(byteSize()),
  }),
  v.check(
    ({ max_size: all, max_item_size: item = 0 }) => item <= all,
    '"max_item_size" is above "max_size"; no item can be larger than the cache',
  ),
  v.transform(({ max_size: maxBytes, max_item_size: item }) => ({
    maxBytes,
    maxItemBytes: item ?? Math.min(maxBytes, DEFAULT_MAX_ITEM_BYTES),
  })),
);

const TYPES = ['IN-MEMORY', 'MEMCACHED', 'REDIS'] as const;

/**
 * Reads the YAML of a cache: `type`, `config` with the keys that Thanos has for the type, and the
 * keys of `entries`. Unknown keys are refused also where Thanos leaves them out.
 * @throws BadInputError naming the place.
 */
export function parseCacheConfig<Entries extends v.ObjectEntries>(
  source: string,
  yaml: string,
  entries: Entries,
) {
  const whole = v.strictObject({ ...entries, type: v.string(), config: v.optional(v.unknown()) });
  const settings = parseYaml(source, yaml, whole) as v.InferOutput<
    v.ObjectSchema<Entries, undefined>
  >;
  const { type } = parseYaml(source, yaml, v.looseObject({ type: v.string() }));
  return { settings, backend: backendOf(source, type, yaml) };
}

function backendOf(source: string, type: string, yaml: string): CacheBackend {
  switch (TYPES.find((name) => name === type.toUpperCase())) {
    case 'IN-MEMORY':
      return { kind: 'in-memory', ...parseConfig(source, yaml, v.optional(inMemorySchema, {})) };
    case 'MEMCACHED':
      return { kind: 'memcached', config: parseConfig(source, yaml, memcachedSchema) };
    case 'REDIS':
      return { kind: 'redis', config: parseConfig(source, yaml, redisSchema) };
    case undefined: {
      const isGroupcache = type.toUpperCase() === 'GROUPCACHE';
      const problem = isGroupcache ? 'is not supported by this version' : 'is unknown';
      throw new BadInputError(
        `${source}: type "${type}" ${problem}; use IN-MEMORY, MEMCACHED or REDIS`,
      );
    }
  }
}

function parseConfig<S extends v.GenericSchema>(
  source: string,
  yaml: string,
  config: S,
): v.InferOutput<S> {
  return parseYaml(source, yaml, v.looseObject({ config })).config as v.InferOutput<S>;
}
