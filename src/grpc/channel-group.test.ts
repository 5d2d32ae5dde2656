import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#/lib/clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { seededRandom } from '#/lib/random.ts';
import { LabelNamesRequest, StoreDefinition } from '#/proto/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { ChannelGroup } from './channel-group.ts';
import { clientOf } from './client.ts';
import { serve } from './method.ts';
import { serveGrpc } from './server.ts';

const unserved = (): never => {
  throw new Error('not served in this test');
};

function serverNamed(name: string, net: MemoryNet) {
  const labelNames = async () => ({ names: [name], warnings: [] });
  const handlers = { series: unserved, labelValues: unserved, labelNames };
  return serveGrpc(
    { address: '127.0.0.1:0', services: [serve(StoreDefinition, handlers)], gracePeriodMs: 0 },
    { net, clock: systemClock, log: new MemoryLog(), metrics: new Metrics(), probe: new Probe() },
  );
}

test('calls of a group go round, past addresses that are out of reach', async () => {
  const net = new MemoryNet();
  await using first = await serverNamed('first', net);
  await using second = await serverNamed('second', net);
  using group = new ChannelGroup('stores', { net, clock: systemClock, random: seededRandom(1) });
  const store = clientOf(StoreDefinition, group);
  const ask = async () => (await store.labelNames(LabelNamesRequest.create())).names[0];
  await assert.rejects(ask(), { name: 'UnavailableError', message: 'stores: no addresses' });

  group.setAddresses([first.address, '127.0.0.1:1', second.address]);
  const answers = [await ask(), await ask(), await ask(), await ask()];
  assert.deepEqual(new Set(answers), new Set(['first', 'second']));

  group.setAddresses([second.address]);
  assert.deepEqual([await ask(), await ask()], ['second', 'second']);
});
