import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryDisk } from '#/lib/memory-disk.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { DnsResolver } from './dns.ts';
import { FileDiscovery } from './file.ts';

describe('DnsResolver', () => {
  test('looks names up as their prefix says', async () => {
    const { net, resolver } = setUp();
    net.hosts.set('store.example', ['10.0.0.2', '10.0.0.1', '::1']);
    net.hosts.set('pod-0.example', ['10.0.0.7']);
    net.services.set('_grpc._tcp.example', [{ host: 'pod-0.example.', port: 10901 }]);
    const names = [
      'dns+store.example:10901',
      'dnsdualstack+store.example:1',
      'dnssrv+_grpc._tcp.example',
      'dnssrv+_grpc._tcp.example:99',
      'dnssrvnoa+http://_grpc._tcp.example',
      'dns+nobody.example:1',
      'static:10901',
    ];
    await resolver.update(names);
    assert.deepEqual(
      names.map((name) => resolver.peers(name)),
      [
        ['10.0.0.1:10901', '10.0.0.2:10901', '[::1]:10901'],
        ['10.0.0.1:1', '10.0.0.2:1', '[::1]:1'],
        ['10.0.0.7:10901'],
        ['10.0.0.7:99'],
        ['http://pod-0.example:10901'],
        [],
        ['static:10901'],
      ],
    );
  });

  test('keeps what it found while lookups fail, and counts', async () => {
    const { net, resolver, metrics } = setUp();
    net.hosts.set('a', ['10.0.0.1']);
    await resolver.update(['dns+a:1']);
    net.resolve = () => Promise.reject(new Error('SERVFAIL'));
    await resolver.update(['dns+b:1']);
    assert.deepEqual(resolver.peers('dns+a:1'), ['10.0.0.1:1']);
    const text = await metrics.text();
    assert.match(text, /test_dns_lookups_total 2\n/);
    assert.match(text, /test_dns_failures_total 1\n/);
    assert.match(text, /test_dns_provider_results\{addr="dns\+a:1"\} 1\n/);

    net.resolve = () => Promise.resolve(['10.0.0.2']);
    await resolver.update(['dns+b:1']);
    assert.deepEqual(resolver.peers('dns+a:1'), []);
    assert.deepEqual(resolver.peers('dns+b:1'), ['10.0.0.2:1']);
  });
});

describe('FileDiscovery', () => {
  test('reads targets of JSON and YAML files, and keeps those of a file that breaks', async () => {
    const disk = new MemoryDisk();
    const log = new MemoryLog();
    const write = (path: string, text: string) => disk.write(path, Buffer.from(text));
    await write('/sd/a.json', '[{"targets": ["one:1", "two:1"]}]');
    await write('/sd/b.yml', '- targets: [two:1, three:1]\n  labels: {zone: x}\n');
    await write('/sd/other.txt', 'nothing');
    const patterns = ['/sd/*.json', '/sd/b.yml', '/sd/missing.yml', '/none/*.yml'];
    const discovery = new FileDiscovery({ disk, log, patterns });
    await discovery.update();
    assert.deepEqual([...discovery.addresses].sort(), ['one:1', 'three:1', 'two:1']);

    await write('/sd/a.json', '[{"target": ["one:1"]}]');
    await disk.remove('/sd/b.yml');
    await discovery.update();
    assert.deepEqual([...discovery.addresses].sort(), ['one:1', 'two:1']);
    assert.match(String(log.lines[0]!.fields['error']), /a\.json: .*unknown key "target"/);
  });
});

function setUp() {
  const net = new MemoryNet();
  const metrics = new Metrics();
  const resolver = new DnsResolver({ net, metrics, log: new MemoryLog(), metricPrefix: 'test_' });
  return { net, metrics, resolver };
}
