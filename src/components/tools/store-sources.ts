import { Channel } from '#/grpc/client.ts';
import { serveGrpc } from '#/grpc/server.ts';
import type { Clock } from '#/lib/clock.ts';
import { MemoryNet } from '#/lib/memory-net.ts';
import { seededRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import type { TestSource } from '#/promql/testlang.ts';
import { Completeness } from '#/query/partial-response.ts';
import { Querier } from '#/query/querier.ts';
import type { MemoryQueryable } from '#/storage/memory-queryable.ts';
import type { SampleBuffer } from '#/storage/sample-buffer.ts';
import { RemoteStore, fetchInfo } from '#/storeapi/client.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import type { ProxyEndpoint } from '#/storeapi/proxy-store.ts';
import { infoService, storeService } from '#/storeapi/service.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { ChunkStore } from './chunk-store.ts';
import type { ChunkedSeries } from './chunk-store.ts';

/** Small, so that the few samples of a script make several chunks. */
const FLOATS_PER_CHUNK = 4;

/**
 * Reads what a script has loaded through `count` StoreAPI services, as a querier reads: gRPC over
 * a network in memory, the proxy, and chunks. Every third series is whole in one store; the chunks
 * of the others go round the stores, and some are in two.
 */
export async function openStoreSources(
  loaded: MemoryQueryable,
  count: number,
  clock: Clock,
): Promise<TestSource> {
  await using open = new AsyncDisposableStack();
  const net = new MemoryNet();
  const env = { net, clock, log: new MemoryLog(), metrics: new Metrics(), probe: new Probe() };
  env.probe.ready();
  const endpoints: ProxyEndpoint[] = [];
  for (const series of distribute(loaded, count)) {
    const store = new ChunkStore(series);
    const info = infoService({ component: 'store', store, isReady: () => true });
    const services = [storeService(store), info];
    const options = { address: '127.0.0.1:0', services, gracePeriodMs: 0 };
    const { address } = open.use(await serveGrpc(options, env));
    endpoints.push(await connect(open.use(channelTo(address, net, clock)), clock));
  }
  const proxy = new ProxyStore({
    ...env,
    endpoints: () => endpoints,
    selectorLabels: Labels.empty,
    responseTimeoutMs: 0,
  });
  const queryable = new Querier(proxy, 0).queryable({
    dedup: true,
    replicaLabels: [],
    algorithm: 'sticky',
    partialResponse: PartialResponse.Abort,
    maxResolutionMs: 0,
    storeMatchers: [],
    tenant: 'default-tenant',
    startTimes: true,
    completeness: new Completeness(),
  });
  const opened = open.move();
  return { queryable, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

function channelTo(address: string, net: MemoryNet, clock: Clock): Channel {
  return new Channel({ net, clock, random: seededRandom(1), address });
}

async function connect(channel: Channel, clock: Clock): Promise<ProxyEndpoint> {
  const { store: info } = await fetchInfo(channel, {});
  if (info === undefined) throw new Error(`${channel.address}: is no store`);
  const store = new RemoteStore({ channel, clock, info: () => info, responseTimeoutMs: 0 });
  return { address: channel.address, store };
}

function distribute(loaded: MemoryQueryable, count: number): readonly ChunkedSeries[][] {
  const stores: ChunkedSeries[][] = Array.from({ length: count }, () => []);
  let k = 0;
  for (const { labels, samples } of loaded.all()) {
    const chunks = chunksOf(samples);
    for (const [at, store] of stores.entries()) {
      const own = chunks.filter((_, i) => holds(k, i, at, count));
      if (own.length > 0) store.push({ labels, chunks: own });
    }
    k++;
  }
  return stores;
}

/** Whether the store `at` of `count` has chunk `i` of series `k`. */
function holds(k: number, i: number, at: number, count: number): boolean {
  if (k % 3 === 2) return at === k % count;
  return at === (k + i) % count || (i % 5 === 3 && at === (k + i + 1) % count);
}

/**
 * Floats in small chunks, histograms as one chunk for as long as they fit one: the hint of a reset
 * is read from how they follow each other in it. All of them are floats, as where upstream runs its scripts.
 */
function chunksOf(samples: SampleBuffer): TimedChunk[] {
  return encodeSamples(samples, {
    floatHistograms: true,
    startTimes: samples.startTimes !== undefined,
    ...(samples.histograms === undefined ? { samplesPerChunk: FLOATS_PER_CHUNK } : {}),
  });
}
