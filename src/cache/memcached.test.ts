import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { ManualClock } from '#/lib/manual-clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { openMemcached } from './memcached.ts';
import type { MemcachedOptions } from './memcached.ts';

const signal = new AbortController().signal;

/** A server that answers every request with what `reply` makes of it. */
async function serve(net: MemoryNet, address: string, reply: (request: string) => string) {
  const requests: string[] = [];
  const open = new Set<Duplex>();
  const listener = await net.listen(address, (stream) => {
    open.add(stream);
    stream.on('error', () => undefined);
    let request = '';
    stream.on('data', (piece: Buffer) => {
      request += piece.toString('latin1');
      const lines = request.split('\r\n').length - 1;
      if (lines < (request.startsWith('set ') ? 2 : 1)) return;
      requests.push(request);
      // In two pieces, to be put together again.
      const answer = Buffer.from(reply(request), 'latin1');
      request = '';
      stream.write(answer.subarray(0, 7));
      setImmediate(() => stream.write(answer.subarray(7)));
    });
  });
  return { requests, connections: () => open.size, listener };
}

async function open(net: MemoryNet, overrides: Partial<MemcachedOptions> = {}) {
  const clock = new ManualClock(1_000_000_000_000);
  const servers = await openMemcached({
    addresses: ['a:1'],
    source: { update: () => Promise.resolve(), peers: (address) => [address] },
    updateIntervalMs: 10_000,
    autoDiscovery: false,
    timeoutMs: 500,
    maxIdleConnections: 2,
    maxValueBytes: 1000,
    net,
    clock,
    log: new MemoryLog(),
    ...overrides,
  });
  const pick = (key: string) => servers.pick(key) ?? assert.fail('no server');
  return { clock, servers, pick };
}

test('values come by their keys, over one connection', async () => {
  const net = new MemoryNet();
  const server = await serve(
    net,
    'a:1',
    () => 'VALUE k2 0 9\r\nEND\r\nEND\0\r\nVALUE k1 7 0\r\n\r\nEND\r\n',
  );
  await using opened = (await open(net)).servers;
  for (let i = 0; i < 2; i++) {
    const found = await opened.pick('k')!.getMany(['k1', 'none', 'k2'], signal);
    assert.deepEqual(
      found.map((value) => value && Buffer.from(value).toString('latin1')),
      ['', undefined, 'END\r\nEND\0'],
    );
  }
  assert.deepEqual(server.requests, Array(2).fill('get k1 none k2\r\n'));
  assert.equal(server.connections(), 1);
});

test('a time above thirty days is sent as a date', async () => {
  const net = new MemoryNet();
  const server = await serve(net, 'a:1', () => 'STORED\r\n');
  const { pick, servers } = await open(net);
  await pick('k').set('k', Buffer.from('x'), 60, signal);
  await pick('k').set('k', Buffer.from('x'), 31 * 86_400, signal);
  assert.match(server.requests.join(''), /^set k 0 60 1\r\nx\r\nset k 0 1002678400 1\r\nx\r\n$/);
  await servers[Symbol.asyncDispose]();
});

test('a refusal of a set leaves the connection; any other reply breaks it', async () => {
  const cases = [
    ['SERVER_ERROR out of memory storing object\r\n', 1],
    ['NOT_STORED\r\n', 1],
    ['ERROR\r\n', 2],
    ['STORED\r\nSTORED\r\n', 2],
    ['garbage without a carriage return\n', 2],
  ] as const;
  for (const [reply, connections] of cases) {
    const net = new MemoryNet();
    const server = await serve(net, 'a:1', () => reply);
    const { pick, servers } = await open(net);
    for (let i = 0; i < 2; i++) {
      await pick('k')
        .set('k', Buffer.from('x'), 60, signal)
        .catch((thrown: Error) => assert.equal(thrown.name, 'ServerError'));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(server.connections(), connections, reply);
    await servers[Symbol.asyncDispose]();
  }
});

test('what is no reply to a get is told, and a length above all bounds is not believed', async () => {
  const cases = [
    ['VALUE k 0 1001\r\n', /a value of 1001 bytes, where 1000 are the most/],
    ['VALUE k 0 99999999999999999\r\n', /"VALUE k 0 99999999999999999" to a get/],
    ['VALUE k 0 3\r\nabcdef\r\nEND\r\n', /a value of another length than it says/],
    ['SERVER_ERROR busy\r\n', /"SERVER_ERROR busy" to a get/],
    ['HTTP/1.1 400 Bad Request\r\n', /to a get/],
    ['x'.repeat(3000), /a line that does not end/],
  ] as const;
  for (const [reply, message] of cases) {
    const net = new MemoryNet();
    await serve(net, 'a:1', () => reply);
    const { pick, servers } = await open(net);
    await assert.rejects(pick('k').getMany(['k'], signal), { name: 'ServerError', message });
    await servers[Symbol.asyncDispose]();
  }
});

test('a request that is given up breaks its connection, so that no reply comes late', async () => {
  const net = new MemoryNet();
  const server = await serve(net, 'a:1', (request) => (request.includes('slow') ? '' : 'END\r\n'));
  const { pick, servers } = await open(net);
  const stop = new AbortController();
  const slow = pick('k').getMany(['slow'], stop.signal);
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Error('given up'));
  await assert.rejects(slow, /given up/);
  assert.deepEqual(await pick('k').getMany(['fast'], signal), [undefined]);
  assert.equal(server.connections(), 2);
  await servers[Symbol.asyncDispose]();
});

test('servers share the keys out, and one more moves few of them', async () => {
  const net = new MemoryNet();
  let peers = ['cache-10:1', 'cache-2:1', 'cache-1:1'];
  const { clock, pick, servers } = await open(net, {
    addresses: ['dns+cache:1'],
    source: { update: () => Promise.resolve(), peers: () => peers },
  });
  const keys = Array.from({ length: 4000 }, (_, i) => `key-${i}`);
  const places = () => keys.map((key) => pick(key).name);
  const before = places();
  for (const peer of peers) {
    const share = before.filter((name) => name === peer).length / keys.length;
    assert.ok(share > 0.3 && share < 0.37, `${peer} has ${share}`);
  }
  peers = [...peers, 'cache-11:1'];
  await clock.advance(10_000);
  const after = places();
  const moved = after.filter((name, i) => name !== before[i]);
  assert.ok(moved.every((name) => name === 'cache-11:1'));
  assert.ok(moved.length > 900 && moved.length < 1100, `${moved.length} moved`);
  peers = [];
  await clock.advance(10_000);
  assert.deepEqual(places(), after, 'those that were known are better than none');
  await servers[Symbol.asyncDispose]();
});

test('a cluster that tells its nodes is asked for them', async () => {
  const net = new MemoryNet();
  const nodes = '12\nn1.example|10.0.0.1|11211 n2.example||11212\n';
  await serve(net, 'a:1', () => `CONFIG cluster 0 ${nodes.length}\r\n${nodes}\r\nEND\r\n`);
  const { pick, servers } = await open(net, { autoDiscovery: true });
  const names = new Set(Array.from({ length: 100 }, (_, i) => pick(`key-${i}`).name));
  assert.deepEqual([...names].sort(), ['10.0.0.1:11211', 'n2.example:11212']);
  await servers[Symbol.asyncDispose]();
});
