import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { Channel, clientOf } from '#/grpc/client.ts';
import type { ChannelOptions } from '#/grpc/client.ts';
import { serve } from '#/grpc/method.ts';
import type { Handlers, MessageCodec, Method } from '#/grpc/method.ts';
import { serveGrpc } from '#/grpc/server.ts';
import { Status, StatusError, peerStatus } from '#/grpc/status.ts';
import { systemClock } from '#/lib/clock.ts';
import { BadInputError } from '#/lib/errors.ts';
import { nodeNet } from '#/lib/net.ts';
import { systemRandom } from '#/lib/random.ts';
import { HealthDefinition } from '#/proto/health.ts';
import { ServerReflectionDefinition } from '#/proto/reflection.ts';
import type { ServerReflectionRequest, ServerReflectionResponse } from '#/proto/reflection.ts';
import { LabelNamesRequest, SeriesRequest, StoreDefinition } from '#/proto/store.ts';
import type { LabelNamesResponse, SeriesResponse } from '#/proto/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';

/*
 * Our gRPC against grpc-js, the reference implementation for Node, in both directions over real
 * sockets.
 */

type StoreHandlers = Handlers<typeof StoreDefinition>;

const unserved = (): never => {
  throw new Error('not served in this test');
};

/** A method as grpc-js wants it described. */
function described<Request, Response>(
  path: string,
  method: Method<Request, Response>,
): grpc.MethodDefinition<Request, Response> {
  const bytes = <T>(codec: MessageCodec<T>, message: T) =>
    Buffer.from(codec.encode(message).finish());
  return {
    path,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: (message) => bytes(method.requestType, message),
    requestDeserialize: (sent) => method.requestType.decode(sent),
    responseSerialize: (message) => bytes(method.responseType, message),
    responseDeserialize: (sent) => method.responseType.decode(sent),
  };
}

const { series: seriesMethod, labelNames: labelNamesMethod } = StoreDefinition.methods;
const series = described<SeriesRequest, SeriesResponse>('/thanos.Store/Series', seriesMethod);
const labelNames = described<LabelNamesRequest, LabelNamesResponse>(
  '/thanos.Store/LabelNames',
  labelNamesMethod,
);
const seriesRequest = SeriesRequest.create({ minTime: -(2n ** 63n), limit: 5n });
const namesRequest = LabelNamesRequest.create({ limit: 3n });
const warning = (value: string): SeriesResponse => ({ result: { $case: 'warning', value } });

async function ourServer(handlers: Partial<StoreHandlers>, gracePeriodMs = 0) {
  const probe = new Probe();
  const services = [
    serve(StoreDefinition, {
      series: unserved,
      labelNames: unserved,
      labelValues: unserved,
      ...handlers,
    }),
  ];
  const server = await serveGrpc(
    { address: '127.0.0.1:0', services, gracePeriodMs },
    { net: nodeNet, clock: systemClock, log: new MemoryLog(), metrics: new Metrics(), probe },
  );
  const client = new grpc.Client(server.address, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  });
  return {
    probe,
    client,
    address: server.address,
    async [Symbol.asyncDispose]() {
      client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

type UnaryHandler = grpc.handleUnaryCall<LabelNamesRequest, LabelNamesResponse>;
type StreamHandler = grpc.handleServerStreamingCall<SeriesRequest, SeriesResponse>;

async function theirServer(
  handlers: { readonly labelNames?: UnaryHandler; readonly series?: StreamHandler },
  options: Partial<ChannelOptions> = {},
) {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(
    { series, labelNames },
    { series: handlers.series ?? unserved, labelNames: handlers.labelNames ?? unserved },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const address = `127.0.0.1:${port}`;
  const channel = ourChannel(address, options);
  return {
    address,
    channel,
    store: clientOf(StoreDefinition, channel),
    [Symbol.dispose]() {
      channel[Symbol.dispose]();
      server.forceShutdown();
    },
  };
}

function ourChannel(address: string, options: Partial<ChannelOptions> = {}): Channel {
  return new Channel({
    net: nodeNet,
    clock: systemClock,
    random: systemRandom,
    address,
    ...options,
  });
}

function theirUnary(
  client: grpc.Client,
  metadata = new grpc.Metadata(),
  options: grpc.CallOptions = {},
): Promise<LabelNamesResponse> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      labelNames.path,
      labelNames.requestSerialize,
      labelNames.responseDeserialize,
      namesRequest,
      metadata,
      options,
      (error, response) => (error === null ? resolve(response!) : reject(error)),
    );
  });
}

function theirStream(client: grpc.Client, options: grpc.CallOptions = {}) {
  return client.makeServerStreamRequest(
    series.path,
    series.requestSerialize,
    series.responseDeserialize,
    seriesRequest,
    new grpc.Metadata(),
    options,
  );
}

function textsOf(responses: readonly SeriesResponse[]): string[] {
  return responses.map(({ result }) => (result?.$case === 'warning' ? result.value : ''));
}

test('grpc-js calls our server: unary, with metadata', async () => {
  await using server = await ourServer({
    labelNames: async ({ limit }, call) => ({
      names: [String(limit), call.metadata('thanos-tenant') ?? ''],
      warnings: [],
    }),
  });
  const metadata = new grpc.Metadata();
  metadata.set('thanos-tenant', 'team-a');
  assert.deepEqual((await theirUnary(server.client, metadata)).names, ['3', 'team-a']);
});

test('grpc-js reads a stream of ours, plain and with gzip', async () => {
  const texts = Array.from({ length: 300 }, (_, i) => 'ö'.repeat(i * 20));
  await using server = await ourServer({
    async *series({ minTime }) {
      assert.equal(minTime, -(2n ** 63n));
      for (const text of texts) yield warning(text);
    },
  });
  for (const algorithm of [grpc.compressionAlgorithms.identity, grpc.compressionAlgorithms.gzip]) {
    const client = new grpc.Client(server.address, grpc.credentials.createInsecure(), {
      'grpc.default_compression_algorithm': algorithm,
    });
    const got = (await Array.fromAsync(theirStream(client))) as SeriesResponse[];
    assert.deepEqual(textsOf(got), texts);
    client.close();
  }
});

test('grpc-js sees our statuses, also after messages', async () => {
  await using server = await ourServer({
    labelNames: async () => {
      throw new BadInputError('bad “matcher” 100%\nreally');
    },
    async *series() {
      yield warning('one');
      throw new StatusError(Status.Aborted, 'half way');
    },
  });
  await assert.rejects(theirUnary(server.client), {
    code: grpc.status.INVALID_ARGUMENT,
    details: 'bad “matcher” 100%\nreally',
  });
  const got: SeriesResponse[] = [];
  await assert.rejects(
    async () => {
      for await (const response of theirStream(server.client)) got.push(response as SeriesResponse);
    },
    { code: grpc.status.ABORTED, details: 'half way' },
  );
  assert.deepEqual(textsOf(got), ['one']);
});

test('grpc-js cancels and times out calls of ours', async () => {
  const seen: string[] = [];
  await using server = await ourServer({
    async *series(_, { signal }) {
      yield warning('one');
      await delay(5000, undefined, { signal }).catch(() => undefined);
      seen.push((signal.reason as Error).name);
    },
  });
  const canceled = theirStream(server.client);
  await assert.rejects(
    async () => {
      for await (const _ of canceled) canceled.cancel();
    },
    { code: grpc.status.CANCELLED },
  );
  await assert.rejects(Array.fromAsync(theirStream(server.client, { deadline: Date.now() + 50 })), {
    code: grpc.status.DEADLINE_EXCEEDED,
  });
  while (seen.length < 2) await delay(5);
  assert.equal(seen[0], 'AbortError');
});

test('grpc-js asks our server for its health and its services', async () => {
  await using server = await ourServer({});
  server.probe.ready();
  const check = described('/grpc.health.v1.Health/Check', HealthDefinition.methods.check);
  const health = await new Promise((resolve, reject) => {
    server.client.makeUnaryRequest(
      check.path,
      check.requestSerialize,
      check.responseDeserialize,
      { service: '' },
      (error, response) => (error === null ? resolve(response) : reject(error)),
    );
  });
  assert.deepEqual(health, { status: 1 });
  for (const version of ['v1', 'v1alpha']) {
    const info = described<ServerReflectionRequest, ServerReflectionResponse>(
      `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      ServerReflectionDefinition.methods.serverReflectionInfo,
    );
    const call = server.client.makeBidiStreamRequest(
      info.path,
      info.requestSerialize,
      info.responseDeserialize,
    );
    call.write({ host: '', messageRequest: { $case: 'listServices', value: '' } });
    call.write({
      host: '',
      messageRequest: { $case: 'fileContainingSymbol', value: 'thanos.Store.Series' },
    });
    call.write({
      host: '',
      messageRequest: { $case: 'fileContainingSymbol', value: 'no.such.Thing' },
    });
    call.end();
    const answers = (await Array.fromAsync(call)) as ServerReflectionResponse[];
    const [services, files, missing] = answers.map(({ messageResponse }) => messageResponse);
    assert.ok(services?.$case === 'listServicesResponse');
    assert.deepEqual(
      services.value.service.map(({ name }) => name),
      [
        'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
        'thanos.Store',
      ],
    );
    assert.ok(files?.$case === 'fileDescriptorResponse');
    assert.equal(files.value.fileDescriptorProto.length, 4);
    assert.ok(missing?.$case === 'errorResponse');
  }
});

test('a message of 64 MB goes either way', async () => {
  const text = 'a'.repeat(64 * 1024 * 1024);
  await using server = await ourServer({
    labelNames: async () => ({ names: [text], warnings: [] }),
  });
  assert.equal((await theirUnary(server.client)).names[0], text);
  using theirs = await theirServer({
    labelNames: (_, done) => done(null, { names: [text], warnings: [] }),
  });
  assert.equal((await theirs.store.labelNames(namesRequest)).names[0], text);
});

test('a thousand calls of grpc-js at a time', async () => {
  await using server = await ourServer({
    labelNames: async () => {
      await delay(5);
      return { names: ['x'], warnings: [] };
    },
  });
  const calls = Array.from({ length: 1000 }, () => theirUnary(server.client));
  for (const { names } of await Promise.all(calls)) assert.deepEqual(names, ['x']);
});

test('we call grpc-js: unary with metadata, and its statuses', async () => {
  using server = await theirServer({
    labelNames: ({ request, metadata }, done) => {
      const [tenant] = metadata.get('thanos-tenant');
      if (tenant === 'bad') {
        done({ code: grpc.status.INVALID_ARGUMENT, details: 'naïve “tenant” 5%' });
      } else {
        done(null, { names: [String(tenant), String(request.limit)], warnings: [] });
      }
    },
  });
  const ask = (tenant: string) =>
    server.store.labelNames(namesRequest, { metadata: { 'thanos-tenant': tenant } });
  assert.deepEqual((await ask('team')).names, ['team', '3']);
  await assert.rejects(ask('bad'), {
    name: 'BadInputError',
    message: `${server.address}: naïve “tenant” 5%`,
  });
});

test('we read a stream of grpc-js, plain and with gzip, to its failure', async () => {
  const texts = Array.from({ length: 300 }, (_, i) => 'ä'.repeat(i * 20));
  for (const compression of ['none', 'gzip'] as const) {
    using server = await theirServer(
      {
        series: (call) => {
          for (const text of texts) call.write(warning(text));
          call.write(warning('last'), () =>
            call.emit('error', { code: grpc.status.ABORTED, details: 'late' }),
          );
        },
      },
      { compression },
    );
    const got: SeriesResponse[] = [];
    await assert.rejects(
      async () => {
        for await (const response of server.store.series(seriesRequest)) got.push(response);
      },
      (thrown) => peerStatus(thrown) === Status.Aborted,
    );
    assert.deepEqual(textsOf(got), [...texts, 'last']);
  }
});

test('we cancel and time out calls of grpc-js', async () => {
  let canceled = 0;
  using server = await theirServer({
    series: (call) => {
      call.on('cancelled', () => canceled++);
      call.write(warning('one'));
    },
  });
  for await (const response of server.store.series(seriesRequest)) {
    assert.deepEqual(textsOf([response]), ['one']);
    break;
  }
  await assert.rejects(
    Array.fromAsync(server.store.series(seriesRequest, { timeoutMs: 50 })),
    /no answer within 50 ms/,
  );
  while (canceled < 2) await delay(5);
});

test('a peer that resets the connection fails the call, and the next call dials anew', async () => {
  using server = await theirServer({
    series: (call) => void call.write(warning('one')),
    labelNames: (_, done) => done(null, { names: ['back'], warnings: [] }),
  });
  await using proxy = await cuttingProxy(server.address);
  using channel = ourChannel(proxy.address);
  const store = clientOf(StoreDefinition, channel);
  await assert.rejects(
    async () => {
      for await (const _ of store.series(seriesRequest)) proxy.cut();
    },
    { name: 'UnavailableError', message: /connection broke off/ },
  );
  assert.deepEqual((await store.labelNames(namesRequest)).names, ['back']);
});

/** Passes bytes on until it is told to reset what is open. */
async function cuttingProxy(target: string) {
  const [host, port] = target.split(':');
  const open = new Set<ReturnType<typeof connect>>();
  const server: NetServer = createServer((near) => {
    const far = connect(Number(port), host);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of open) socket.resetAndDestroy();
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((closed) => server.close(closed));
    },
  };
}
