import { Channel } from '#/grpc/client.ts';
import { serveGrpc } from '#/grpc/server.ts';
import { systemClock } from '#/lib/clock.ts';
import { nodeNet } from '#/lib/net.ts';
import { systemRandom } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { MAX_TIME, MIN_TIME } from '#/model/time.ts';
import { RemoteStore } from '#/storeapi/client.ts';
import { storeService } from '#/storeapi/service.ts';
import type { SeriesBatch, Store, StoreInfo, StoreSeries } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Probe } from '#/telemetry/probe.ts';

/*
 * How many series go through a Series stream over loopback in a second of CPU time, both ends in this
 * process (CPU time, so that neighbours on the machine count less):
 * eight labels and 24 chunks of 115 bytes a series (a day at 30 s), about 2.9 KB on the wire.
 */
const SERIES = 20_000;
const CHUNKS = 24;
const CHUNK_BYTES = 115;
const ROUNDS = 9;

const info: StoreInfo = {
  labelSets: [],
  mint: MIN_TIME,
  maxt: MAX_TIME,
  tsdbInfos: [],
  supportsSharding: true,
  supportsWithoutReplicaLabels: true,
};

const request = {
  mint: 0,
  maxt: 1,
  matchers: [],
  maxResolutionMs: 0,
  aggregates: [],
  skipChunks: false,
  partialResponse: 'ABORT',
  withoutReplicaLabels: [],
  limit: 0,
} as const;

function makeSeries(i: number): StoreSeries {
  const labels = Labels.fromObject({
    __name__: 'http_request_duration_seconds_bucket',
    cluster: 'eu-west-1',
    handler: `/api/v1/resource/${i % 40}`,
    instance: `10.0.${i >> 8}.${i & 0xff}:9090`,
    job: 'api-server',
    le: String((i % 12) / 4),
    namespace: `team-${i % 17}`,
    pod: `api-server-7d9f8b6c5-${i.toString(36)}`,
  });
  const chunks = Array.from({ length: CHUNKS }, (_, k) => {
    const mint = 1_700_000_000_000 + k * 3_600_000;
    const data = new Uint8Array(CHUNK_BYTES).fill(i + k);
    return { mint, maxt: mint + 3_570_000, raw: { encoding: 1, data } };
  });
  return { labels, chunks };
}

const batches: SeriesBatch[] = Array.from({ length: SERIES / 1000 }, (_, b) => ({
  series: Array.from({ length: 1000 }, (_unused, i) => makeSeries(b * 1000 + i)),
  warnings: [],
}));

const store: Store = {
  info: () => info,
  async *series() {
    yield* batches;
  },
  labelNames: () => Promise.resolve({ names: [], warnings: [] }),
  labelValues: () => Promise.resolve({ names: [], warnings: [] }),
};

async function measure(batchSize: number, chunkHashes: boolean): Promise<number> {
  await using server = await serveGrpc(
    { address: '127.0.0.1:0', services: [storeService(store, { chunkHashes })], gracePeriodMs: 0 },
    {
      net: nodeNet,
      clock: systemClock,
      log: new MemoryLog(),
      metrics: new Metrics(),
      probe: new Probe(),
    },
  );
  const { address } = server;
  using channel = new Channel({ net: nodeNet, clock: systemClock, random: systemRandom, address });
  const remote = new RemoteStore({
    channel,
    clock: systemClock,
    info: () => info,
    responseTimeoutMs: 0,
  });
  const rates: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    let count = 0;
    const context = { signal: new AbortController().signal, tenant: 'bench' };
    for await (const { series } of remote.series({ ...request, batchSize }, context)) {
      count += series.length;
    }
    if (count !== SERIES) throw new Error(`${count} series arrived, expected ${SERIES}`);
    const { user, system } = process.cpuUsage(before);
    rates.push(SERIES / ((user + system) / 1000));
  }
  return rates.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

for (const [name, batchSize, chunkHashes] of [
  ['one by one', 0, false],
  ['in batches of 64', 64, false],
  ['in batches of 64, with chunk hashes', 64, true],
] as const) {
  const rate = await measure(batchSize, chunkHashes);
  process.stdout.write(
    `Series stream, ${name}: ${rate.toFixed(1)} thousand series per CPU second\n`,
  );
}
