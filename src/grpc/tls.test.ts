import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SecureContextOptions } from 'node:tls';
import { systemClock } from '#/lib/clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { seededRandom } from '#/lib/random.ts';
import { HealthDefinition } from '#/proto/health.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { Channel, clientOf } from './client.ts';
import { serveGrpc } from './server.ts';

const file = (name: string) => readFileSync(join(import.meta.dirname, 'testdata', name));
const trusted = { cert: file('trusted.crt'), key: file('trusted.key') };
const stranger = { cert: file('stranger.crt'), key: file('stranger.key') };
const ca = trusted.cert;

/** How far the handshake got when it was cut varies; a call that waits in vain would say so. */
const refusal = {
  name: 'UnavailableError',
  message: /handshake|certificate required|ECONNRESET/,
};

async function setUp(requireClientCertificate: boolean) {
  const net = new MemoryNet();
  let context: SecureContextOptions = { ...trusted, ca };
  const tls = { context: () => context, requireClientCertificate };
  const server = await serveGrpc(
    { address: '127.0.0.1:0', services: [], gracePeriodMs: 0, tls },
    { net, clock: systemClock, log: new MemoryLog(), metrics: new Metrics(), probe: new Probe() },
  );
  return {
    renew: (next: SecureContextOptions) => (context = next),
    /** Whether a call gets through on a connection of its own. */
    async call(clientTls?: SecureContextOptions): Promise<true> {
      using channel = new Channel({
        net,
        clock: systemClock,
        random: seededRandom(1),
        address: server.address,
        ...(clientTls === undefined ? {} : { tls: () => clientTls }),
      });
      await clientOf(HealthDefinition, channel).check({ service: '' }, { timeoutMs: 5000 });
      return true;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test('calls go over TLS, and only to a server that the client trusts', async () => {
  await using server = await setUp(false);
  assert.ok(await server.call({ ca }));
  await assert.rejects(server.call({}), /self-signed certificate/);
  await assert.rejects(server.call(), refusal);
});

test('clients without a certificate, or with a strange one, are turned away at once', async () => {
  await using server = await setUp(true);
  assert.ok(await server.call({ ca, ...trusted }));
  await assert.rejects(server.call({ ca }), refusal);
  await assert.rejects(server.call({ ca, ...stranger }), refusal);
});

test('a renewed certificate serves new connections', async () => {
  await using server = await setUp(false);
  assert.ok(await server.call({ ca }));
  server.renew({ ...stranger });
  await assert.rejects(server.call({ ca }), /self-signed certificate/);
  assert.ok(await server.call({ ca: stranger.cert }));
});
