import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCacheConfig } from './config.ts';

const parse = (yaml: string) => parseCacheConfig('--cache', yaml, {}).backend;

test('a cache in memory has the bounds that it is given; the default item fits a small cache', () => {
  assert.deepEqual(parse('type: IN-MEMORY'), {
    kind: 'in-memory',
    maxBytes: 250 * 1024 * 1024,
    maxItemBytes: 125 * 1024 * 1024,
  });
  assert.deepEqual(parse('type: in-memory\nconfig: { max_size: 1MB }'), {
    kind: 'in-memory',
    maxBytes: 1024 * 1024,
    maxItemBytes: 1024 * 1024,
  });
});

test("Memcached's and Redis's defaults are those of Thanos", () => {
  const memcached = parse('type: MEMCACHED\nconfig: { addresses: ["dns+cache:11211"] }');
  assert.ok(memcached.kind === 'memcached');
  const { config } = memcached;
  assert.deepEqual(
    [config.timeout, config.max_item_size, config.dns_provider_update_interval],
    [500, 1024 * 1024, 10_000],
  );
  assert.equal(config.set_async_circuit_breaker_config, undefined);
  const redis = parse(`
type: redis
config:
  addr: "one:6379, two:6379"
  read_timeout: 1.5s
  set_async_circuit_breaker_config: { enabled: true }
`);
  assert.ok(redis.kind === 'redis');
  assert.deepEqual(redis.config.addr, ['one:6379', 'two:6379']);
  assert.deepEqual([redis.config.read_timeout, redis.config.dial_timeout], [1500, 5000]);
  assert.deepEqual(redis.config.set_async_circuit_breaker_config, {
    halfOpenMaxRequests: 10,
    openMs: 5000,
    minRequests: 50,
    consecutiveFailures: 5,
    failurePercent: 0.05,
  });
});

test('what is wrong is told with its place', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['type: GROUPCACHE', /^--cache: type "GROUPCACHE" is not supported by this version; use IN-/],
    ['type: DISK', /^--cache: type "DISK" is unknown; use IN-MEMORY, MEMCACHED or REDIS$/],
    ['tpye: REDIS', /line 1, column 1: unknown key "tpye"; did you mean "type"\?/],
    [
      'type: MEMCACHED\nconfig:\n  addresses: [a:1]\n  timeot: 1s',
      /line 4, column 3: unknown key "timeot"; did you mean "timeout"\?/,
    ],
    ['type: MEMCACHED', /"config" is missing/],
    [
      'type: MEMCACHED\nconfig: { adresses: [a:1] }',
      /unknown key "adresses"; did you mean "addresses"/,
    ],
    ['type: MEMCACHED\nconfig: { addresses: [] }', /line 2, column 22: .*at least one address/],
    ['type: MEMCACHED\nconfig: { addresses: [host] }', /address "host": want host:port/],
    ['type: REDIS\nconfig: { addr: "a:1", db: x }', /line 2, column 28: "config.db" is "x"/],
    [
      'type: REDIS\nconfig: { addr: "a:1", cache_size: 1MB }',
      /of the client is not supported; want 0/,
    ],
    ['type: REDIS\nconfig: { addr: "a:1", read_timeout: 5q }', /"5q": want a duration/],
    [
      'type: REDIS\nconfig: { addr: "a:1", tls_config: { cert_file: x } }',
      /"cert_file" and "key_file" belong together/,
    ],
    [
      'type: IN-MEMORY\nconfig: { max_size: 1MB, max_item_size: 2MB }',
      /line 2, column 9: "max_item_size" is above "max_size"/,
    ],
    [
      'type: REDIS\nconfig:\n  addr: "a:1"\n  set_async_circuit_breaker_config: { enabled: true, failure_percent: 2 }',
      /"failure_percent" of an enabled circuit breaker/,
    ],
  ];
  for (const [yaml, message] of cases) assert.throws(() => parse(yaml), { message });
});
