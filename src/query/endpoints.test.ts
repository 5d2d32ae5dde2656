import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DnsResolver } from '#/discovery/dns.ts';
import { Channel } from '#/grpc/client.ts';
import { serveGrpc } from '#/grpc/server.ts';
import type { GrpcServer } from '#/grpc/server.ts';
import { systemClock } from '#/lib/clock.ts';
import type { Clock } from '#/lib/clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { systemRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { infoService, storeService } from '#/storeapi/service.ts';
import type { EndpointDescription } from '#/storeapi/service.ts';
import type { Store } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { parseEndpointConfig } from './endpoint-config.ts';
import { EndpointSet } from './endpoints.ts';

const signal = new AbortController().signal;

describe('EndpointSet', () => {
  test('lists endpoints that answer, with what they say of themselves', async () => {
    const world = new World({ endpoints: ['a:1', 'b:1', 'nobody:1'] });
    await using a = await world.serve('a:1', { component: 'sidecar', rules: true }, ['zone', 'x']);
    await using b = await world.serve('b:1', { component: 'parquet-gateway' }, []);
    await world.set.update(signal);
    assert.deepEqual(
      world.set.statuses().map(({ name, component, labelSets, mint, maxt }) => {
        return `${name} ${component} ${labelSets.join()} ${mint} ${maxt}`;
      }),
      [`a:1 sidecar {zone="x"} 5 50`, 'b:1 unknown-store-api  5 50'],
    );
    assert.deepEqual(world.addresses(), ['a:1', 'b:1']);
    assert.deepEqual(
      world.set.serving('rules').map(({ name }) => name),
      ['a:1'],
    );
    assert.match(
      await world.metrics.text(),
      /nodes_grpc_connections\{external_labels="\{zone=\\"x\\"\}",store_type="sidecar"\} 1\n/,
    );
    void [a, b];
  });

  test('misses an endpoint that stopped answering until it is forgotten', async () => {
    const world = new World({ endpoints: ['a:1'] });
    const a = await world.serve('a:1', { component: 'store' }, []);
    await world.set.update(signal);
    await a[Symbol.asyncDispose]();
    await world.set.update(signal);
    const [missed] = world.set.stores();
    assert.equal(missed!.address, 'a:1');
    assert.match(missed!.lost!, /a:1/);
    assert.equal(world.set.statuses().length, 1);

    world.skipMs = 300_000;
    await world.set.update(signal);
    assert.deepEqual(world.set.stores(), []);

    await using again = await world.serve('a:1', { component: 'store' }, []);
    await world.set.update(signal);
    assert.deepEqual(world.addresses(), ['a:1']);
    void again;
  });

  test('always asks a strict endpoint, also one that never answered', async () => {
    const world = new World({ strict: ['a:1'] });
    await world.set.update(signal);
    world.skipMs = 600_000;
    await world.set.update(signal);
    const [strict] = world.set.stores();
    assert.equal(strict!.lost, undefined);
    assert.deepEqual(strict!.store.info().labelSets, []);
    assert.ok(strict!.store.info().mint < 0);
  });

  test('drops what is no longer found, healthy or not', async () => {
    const world = new World({ endpoints: ['dns+pods:1'] });
    await using a = await world.serve('10.0.0.1:1', { component: 'store' }, []);
    await using b = await world.serve('10.0.0.2:1', { component: 'store' }, []);
    world.net.hosts.set('pods', ['10.0.0.1', '10.0.0.2']);
    await world.set.update(signal);
    assert.deepEqual(world.addresses(), ['10.0.0.1:1', '10.0.0.2:1']);
    world.net.hosts.set('pods', ['10.0.0.2']);
    world.skipMs = 30_000;
    await world.set.update(signal);
    assert.deepEqual(world.addresses(), ['10.0.0.2:1']);
    void [a, b];
  });

  test('spreads the calls of a group over its peers, past one that is down', async () => {
    const world = new World({ groups: ['dns+pods:1'] });
    world.net.hosts.set('pods', ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    await using a = await world.serve('10.0.0.1:1', { component: 'store' }, []);
    await using b = await world.serve('10.0.0.2:1', { component: 'store' }, []);
    await world.set.update(signal);
    await world.set.update(signal);
    const [group] = world.set.stores();
    assert.equal(group!.address, 'thanos:///dns+pods:1');
    for (let i = 0; i < 6; i++) {
      const lookup = { mint: 0, maxt: 9, matchers: [], partialResponse: 'WARN', limit: 0 } as const;
      const context = { signal, tenant: 'x' };
      await group!.store.labelNames({ ...lookup, withoutReplicaLabels: [] }, context);
    }
    assert.deepEqual([...world.calls.keys()].sort(), ['10.0.0.1:1', '10.0.0.2:1']);
    void [a, b];
  });

  test('counts an address that is configured twice', async () => {
    const world = new World({ endpoints: ['a:1', 'a:1'] });
    await world.set.update(signal);
    assert.match(await world.metrics.text(), /duplicated_endpoint_addresses_total 1\n/);
  });
});

describe('parseEndpointConfig()', () => {
  const cleartext = { tls: undefined, compression: 'snappy' } as const;
  const flags = { endpoints: [], groups: [], strict: [], strictGroups: [], client: cleartext };

  test('resolves TLS from the endpoint, the default and the flags', () => {
    const text = [
      'default_client_config:',
      '  tls_config: {ca_file: ca.pem}',
      'endpoints:',
      '  - address: one:1',
      '  - address: two:1',
      '    client_config: {server_name: two.example}',
      '  - address: three:1',
      '    client_config: {tls_config: {enabled: true}, compression: snappy}',
      '  - address: four:1',
      '    client_config: {tls_config: {enabled: false}}',
    ].join('\n');
    const { specs } = parseEndpointConfig('--endpoint.sd-config', text, flags);
    assert.deepEqual(
      specs.map(({ client: { tls, compression } }) => {
        return `${tls === undefined ? 'clear' : `${tls.caFile}|${tls.serverName}`} ${compression}`;
      }),
      ['ca.pem| snappy', 'ca.pem|two.example none', '| snappy', 'clear none'],
    );
  });

  test('refuses what cannot be, naming the place', () => {
    const parse = (text: string) => parseEndpointConfig('--endpoint.sd-config', text, flags);
    const strict = 'endpoints: [{address: dns+a:1, strict: true}]';
    assert.throws(() => parse(strict), /--endpoint.sd-config: dns\+a:1 is a dynamically specified/);
    const config = 'endpoints: [{address: a:1, service_config: "{}"}]';
    assert.throws(() => parse(config), /a:1 service_config is only valid for endpoint groups/);
    assert.deepEqual(parse('').specs, []);
  });
});

/** A network with stores on it, and an endpoint set that looks at them. */
class World {
  readonly net = new MemoryNet();
  readonly metrics = new Metrics();
  readonly calls = new Map<string, number>();
  /** How far the clock is ahead of the real one. */
  skipMs = 0;
  readonly set: EndpointSet;
  readonly #log = new MemoryLog();

  constructor(addresses: Partial<Record<'endpoints' | 'groups' | 'strict', string[]>>) {
    const { net, metrics } = this;
    const clock: Clock = {
      now: () => systemClock.now() + this.skipMs,
      sleep: (ms, until) => systemClock.sleep(ms, until),
    };
    const client = { tls: undefined, compression: 'none' } as const;
    const none = { endpoints: [], groups: [], strict: [], strictGroups: [], client };
    const config = parseEndpointConfig('test', '', { ...none, ...addresses });
    this.set = new EndpointSet({
      config: () => config,
      dns: new DnsResolver({ net, metrics, log: this.#log, metricPrefix: 'test_' }),
      dial: (address) => new Channel({ net, clock: systemClock, random: systemRandom, address }),
      clock,
      log: this.#log,
      metrics,
      infoTimeoutMs: 1500,
      unhealthyTimeoutMs: 300_000,
      dnsIntervalMs: 30_000,
      fileIntervalMs: 300_000,
      closeDelayMs: 0,
      connectionLabels: ['external_labels', 'store_type'],
    });
  }

  /** Addresses of the endpoints that are asked. */
  addresses(): string[] {
    return this.set.stores().flatMap(({ address, lost }) => (lost === undefined ? [address] : []));
  }

  serve(
    address: string,
    description: Partial<EndpointDescription>,
    [name = '', value = '']: readonly string[],
  ): Promise<GrpcServer> {
    const store: Store = {
      info: () => ({
        labelSets: [Labels.fromObject({ [name]: value })],
        mint: 5,
        maxt: 50,
        tsdbInfos: [],
        supportsSharding: true,
        supportsWithoutReplicaLabels: true,
      }),
      async *series() {},
      labelNames: () => {
        this.calls.set(address, (this.calls.get(address) ?? 0) + 1);
        return Promise.resolve({ names: [], warnings: [] });
      },
      labelValues: () => Promise.resolve({ names: [], warnings: [] }),
    };
    const info = infoService({ component: 'store', store, isReady: () => true, ...description });
    return serveGrpc(
      { address, services: [info, storeService(store)], gracePeriodMs: 0 },
      {
        net: this.net,
        clock: systemClock,
        log: this.#log,
        metrics: new Metrics(),
        probe: new Probe(),
      },
    );
  }
}
