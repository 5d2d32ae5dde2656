import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Duplex } from 'node:stream';
import { systemClock } from '#/lib/clock.ts';
import {
  BadInputError,
  CorruptionError,
  LimitError,
  NotFoundError,
  UnavailableError,
  messageOf,
} from '#/lib/errors.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { seededRandom } from '#/lib/random.ts';
import { HealthCheckResponse_ServingStatus, HealthDefinition } from '#/proto/health.ts';
import { MetadataDefinition } from '#/proto/metadata.ts';
import type { MetricMetadataRequest } from '#/proto/metadata.ts';
import { StoreDefinition } from '#/proto/store.ts';
import type { LabelValuesRequest } from '#/proto/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { Channel, clientOf } from './client.ts';
import type { ChannelOptions } from './client.ts';
import { serve } from './method.ts';
import type { Handlers } from './method.ts';
import { serveGrpc } from './server.ts';
import type { GrpcServerOptions } from './server.ts';
import { Status, StatusError, peerStatus } from './status.ts';

type StoreHandlers = Handlers<typeof StoreDefinition>;
type MetadataHandlers = Handlers<typeof MetadataDefinition>;

interface Parts extends Partial<StoreHandlers & MetadataHandlers> {
  readonly server?: Partial<GrpcServerOptions>;
  readonly channel?: Partial<ChannelOptions>;
}

/** A server with the handlers that a test cares about, and clients of it, in one process. */
async function setUp({ server: serverOptions, channel: channelOptions, ...handlers }: Parts) {
  const open = new AsyncDisposableStack();
  const net = new MemoryNet();
  const probe = new Probe();
  const metrics = new Metrics();
  const log = new MemoryLog();
  const unserved = (): never => {
    throw new Error('not served in this test');
  };
  const services = [
    serve(StoreDefinition, {
      series: unserved,
      labelNames: unserved,
      labelValues: unserved,
      ...handlers,
    }),
    serve(MetadataDefinition, { metricMetadata: unserved, ...handlers }),
  ];
  const env = { net, clock: systemClock, log, metrics, probe };
  const address = '127.0.0.1:0';
  const server = open.use(
    await serveGrpc({ address, services, gracePeriodMs: 1000, ...serverOptions }, env),
  );
  const random = seededRandom(1);
  const channel = open.use(
    new Channel({
      net,
      clock: systemClock,
      random,
      address: server.address,
      ...channelOptions,
    }),
  );
  return {
    channel,
    log,
    metrics,
    net,
    probe,
    server,
    store: clientOf(StoreDefinition, channel),
    metadata: clientOf(MetadataDefinition, channel),
    health: clientOf(HealthDefinition, channel),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

const labelValues = (label: string): LabelValuesRequest => ({
  label,
  partialResponseDisabled: false,
  partialResponseStrategy: 0,
  start: 0n,
  end: 0n,
  matchers: [],
  withoutReplicaLabels: [],
  limit: 0n,
});
const names = { ...labelValues(''), label: undefined };
const metadataRequest: MetricMetadataRequest = {
  metric: '',
  limit: 0,
  partialResponseStrategy: 0,
};
const warning = (value: string) => ({ result: { $case: 'warning', value } }) as const;

test('a unary call carries request, metadata and answer', async () => {
  await using both = await setUp({
    labelValues: async ({ label }, call) => ({
      values: [label, call.metadata('thanos-tenant') ?? 'none'],
      warnings: [],
    }),
  });
  const options = { metadata: { 'thanos-tenant': 'team-a' } };
  const { values } = await both.store.labelValues(labelValues('jöb'), options);
  assert.deepEqual(values, ['jöb', 'team-a']);
});

for (const compression of ['none', 'gzip', 'snappy'] as const) {
  test(`a stream keeps its messages and their order (compression ${compression})`, async () => {
    const texts = Array.from({ length: 500 }, (_, i) => `${i} `.repeat(i * 10));
    await using both = await setUp({
      async *metricMetadata() {
        for (const text of texts) yield warning(text);
      },
      channel: { compression },
    });
    const got: string[] = [];
    for await (const { result } of both.metadata.metricMetadata(metadataRequest)) {
      if (result?.$case === 'warning') got.push(result.value);
    }
    assert.deepEqual(got, texts);
  });
}

test('an empty stream is a success', async () => {
  await using both = await setUp({
    async *metricMetadata() {},
  });
  assert.deepEqual(await Array.fromAsync(both.metadata.metricMetadata(metadataRequest)), []);
});

test('errors arrive as the same class, with the address and the peer’s words', async () => {
  const thrown = [
    [new BadInputError('no matchers “x”\n100%'), BadInputError, Status.InvalidArgument],
    [new NotFoundError('gone'), NotFoundError, Status.NotFound],
    [new LimitError('too many'), LimitError, Status.ResourceExhausted],
    [new UnavailableError('later'), UnavailableError, Status.Unavailable],
    [new CorruptionError('torn'), CorruptionError, Status.DataLoss],
    [new StatusError(Status.Aborted, 'no'), StatusError, Status.Aborted],
    [new TypeError('a bug'), StatusError, Status.Internal],
  ] as const;
  for (const [error, kind, code] of thrown) {
    await using both = await setUp({
      labelValues: () => Promise.reject(error),
    });
    await assert.rejects(both.store.labelValues(labelValues('a')), (received: unknown) => {
      assert.ok(received instanceof kind);
      assert.equal(peerStatus(received), code);
      assert.equal(received.message, `${both.server.address}: ${error.message}`);
      return true;
    });
  }
});

test('a handler that throws a bug is counted and logged, and the server goes on', async () => {
  let broken = true;
  await using both = await setUp({
    labelNames: async () => {
      if (broken) throw new TypeError('oops');
      return { names: ['ok'], warnings: [] };
    },
  });
  await assert.rejects(both.store.labelNames(names), /oops/);
  broken = false;
  assert.deepEqual((await both.store.labelNames(names)).names, ['ok']);
  const text = await both.metrics.text();
  assert.match(text, /grpc_req_panics_recovered_total 1\n/);
  assert.match(text, /grpc_server_handled_total\{[^}]*LabelNames[^}]*"Internal"\} 1\n/);
  assert.equal(both.log.lines.length, 1);
});

test('a stream that fails midway delivers what came before, then the error', async () => {
  await using both = await setUp({
    async *metricMetadata() {
      yield warning('one');
      await delay(5);
      throw new StatusError(Status.Aborted, 'half way');
    },
  });
  const got: unknown[] = [];
  await assert.rejects(async () => {
    for await (const each of both.metadata.metricMetadata(metadataRequest)) got.push(each.result);
  }, /half way/);
  assert.deepEqual(got, [warning('one').result]);
});

test('messages leave at once when the handler waits for something else', async () => {
  const second = Promise.withResolvers<void>();
  await using both = await setUp({
    async *metricMetadata() {
      yield warning('first');
      await second.promise;
      yield warning('second');
    },
  });
  for await (const { result } of both.metadata.metricMetadata(metadataRequest)) {
    if (result?.value === 'first') second.resolve();
  }
});

test('leaving a stream early cancels the handler', async () => {
  const ended = Promise.withResolvers<boolean>();
  await using both = await setUp({
    async *metricMetadata(_, { signal }) {
      try {
        for (;;) {
          yield warning('x'.repeat(1000));
          await delay(0);
        }
      } finally {
        ended.resolve(signal.aborted);
      }
    },
  });
  for await (const each of both.metadata.metricMetadata(metadataRequest)) {
    assert.ok(each);
    break;
  }
  assert.equal(await ended.promise, true);
});

test('aborting the signal ends the call with the signal’s reason, on both sides', async () => {
  const seen = Promise.withResolvers<unknown>();
  const stop = new AbortController();
  await using both = await setUp({
    labelValues: (_, { signal }) => {
      stop.abort(new Error('enough'));
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          seen.resolve(signal.reason);
          reject(signal.reason as Error);
        });
      });
    },
  });
  const call = both.store.labelValues(labelValues('a'), { signal: stop.signal });
  await assert.rejects(call, /enough/);
  assert.equal(((await seen.promise) as Error).name, 'AbortError');
});

test('a deadline reaches the server and ends the call at the client', async () => {
  const seen = Promise.withResolvers<unknown>();
  await using both = await setUp({
    labelValues: (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          seen.resolve(signal.reason);
          reject(signal.reason as Error);
        });
      }),
  });
  const call = both.store.labelValues(labelValues('a'), { timeoutMs: 20 });
  await assert.rejects(call, { name: 'UnavailableError', message: /no answer within 20 ms/ });
  assert.ok(await seen.promise);
});

test('a slow reader holds the handler back', async () => {
  let sent = 0;
  await using both = await setUp({
    async *metricMetadata() {
      for (; sent < 400; sent++) yield warning('x'.repeat(100_000));
    },
  });
  let received = 0;
  for await (const each of both.metadata.metricMetadata(metadataRequest)) {
    assert.ok(each);
    if (received++ === 0) {
      await delay(200);
      assert.ok(sent < 250, `${sent} messages were made for a reader that took one`);
    }
  }
  assert.equal(received, 400);
});

test('a message of 64 MB goes through', async () => {
  const value = 'a'.repeat(64 * 1024 * 1024);
  await using both = await setUp({
    labelNames: async () => ({ names: [value], warnings: [] }),
  });
  assert.equal((await both.store.labelNames(names)).names[0], value);
});

test('a message over the limit is refused by its length', async () => {
  await using both = await setUp({
    labelNames: async () => ({ names: ['a'.repeat(2000)], warnings: [] }),
    channel: { maxMessageBytes: 1000 },
  });
  await assert.rejects(both.store.labelNames(names), /larger than max \(2003 vs\. 1000 bytes\)/);
});

test('a thousand calls at a time are answered', async () => {
  await using both = await setUp({
    labelValues: async ({ label }) => {
      await delay(5);
      return { values: [label], warnings: [] };
    },
  });
  const calls = Array.from({ length: 1000 }, async (_, i) => {
    const { values } = await both.store.labelValues(labelValues(String(i)));
    assert.deepEqual(values, [String(i)]);
  });
  await Promise.all(calls);
});

test('what nobody serves is Unimplemented', async () => {
  await using both = await setUp({});
  const { labelNames: method } = StoreDefinition.methods;
  const call = (path: string) => both.channel.unary(path, method, { ...names });
  await assert.rejects(call('/thanos.Store/Nope'), /unknown method Nope for service thanos\.Store/);
  await assert.rejects(call('/no.Such/Thing'), (thrown) => {
    assert.equal(peerStatus(thrown), Status.Unimplemented);
    return /unknown service no\.Such/.test(messageOf(thrown));
  });
});

test('health follows the probe', async () => {
  const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;
  await using both = await setUp({});
  assert.equal((await both.health.check({ service: '' })).status, NOT_SERVING);
  await assert.rejects(both.health.check({ service: 'x' }), { name: 'NotFoundError' });
  const seen: number[] = [];
  for await (const { status } of both.health.watch({ service: '' })) {
    seen.push(status);
    if (seen.length === 3) break;
    if (status === NOT_SERVING) both.probe.ready();
    else both.probe.notReady('for the test');
  }
  assert.deepEqual(seen, [NOT_SERVING, SERVING, NOT_SERVING]);
});

test('nobody at the address is UnavailableError at once, and the channel recovers', async () => {
  await using both = await setUp({ labelNames: async () => ({ names: [], warnings: [] }) });
  const address = '127.0.0.1:9';
  const { net } = both;
  const options = { net, clock: systemClock, random: seededRandom(1), address, maxBackoffMs: 30 };
  using channel = new Channel(options);
  const store = clientOf(StoreDefinition, channel);
  await assert.rejects(store.labelNames(names), {
    name: 'UnavailableError',
    message: '127.0.0.1:9: connect ECONNREFUSED 127.0.0.1:9',
  });
  await assert.rejects(store.labelNames(names), /next attempt in \d+ ms/);
  await assert.rejects(
    store.labelNames(names, { waitForReady: true, timeoutMs: 50 }),
    /no answer within 50 ms/,
  );
  const waiting = store.labelNames(names, { waitForReady: true });
  const handlers = {
    series: fail,
    labelValues: fail,
    labelNames: async () => ({ names: ['up'], warnings: [] }),
  };
  const env = { net, clock: systemClock, log: both.log, metrics: new Metrics(), probe: both.probe };
  await using server = await serveGrpc(
    { address, services: [serve(StoreDefinition, handlers)], gracePeriodMs: 0 },
    env,
  );
  assert.deepEqual((await waiting).names, ['up'], server.address);
});

function fail(): never {
  throw new Error('not called');
}

test('a connection that breaks fails its calls; the next call dials anew', async () => {
  const net = new CuttableNet();
  await using both = await setUp({
    async *metricMetadata() {
      yield warning('one');
      await delay(20);
      net.cut();
      await delay(1000);
    },
    labelNames: async () => ({ names: ['still here'], warnings: [] }),
  });
  net.inner = both.net;
  using channel = new Channel({
    net,
    clock: systemClock,
    random: seededRandom(1),
    address: both.server.address,
  });
  const metadata = clientOf(MetadataDefinition, channel);
  await assert.rejects(Array.fromAsync(metadata.metricMetadata(metadataRequest)), {
    name: 'UnavailableError',
    message: /connection broke off/,
  });
  const store = clientOf(StoreDefinition, channel);
  assert.deepEqual((await store.labelNames(names)).names, ['still here']);
});

/** Remembers what was dialled, to reset it. */
class CuttableNet extends MemoryNet {
  inner: MemoryNet | undefined;
  readonly #open: Duplex[] = [];

  override async dial(address: string): Promise<Duplex> {
    const stream = await this.inner!.dial(address);
    this.#open.push(stream);
    return stream;
  }

  cut(): void {
    for (const stream of this.#open.splice(0)) stream.destroy();
  }
}

test('a server that stops lets running calls end and takes no others', async () => {
  const running = Promise.withResolvers<void>();
  await using both = await setUp({
    labelNames: async () => {
      running.resolve();
      await delay(50);
      return { names: ['done'], warnings: [] };
    },
  });
  const call = both.store.labelNames(names);
  await running.promise;
  await both.server[Symbol.asyncDispose]();
  assert.deepEqual((await call).names, ['done']);
  await assert.rejects(both.store.labelNames(names), { name: 'UnavailableError' });
});
