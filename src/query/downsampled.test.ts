import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readAggregateChunk } from '#/downsample/aggregate-chunk.ts';
import { Downsampler } from '#/downsample/downsample.ts';
import { systemClock } from '#/lib/clock.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { Labels } from '#/model/labels.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import type { MatrixSeries } from '#/promql/value.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import type { AggregateChunk, SeriesRequest, Store } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { Resolution } from '#/tsdb/block-meta.ts';
import type { TimedChunk } from '#/tsdb/chunk.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { lookbacks } from './lookback.ts';
import { Completeness } from './partial-response.ts';
import { Querier } from './querier.ts';

const { Raw, FiveMinutes, OneHour } = Resolution;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const FIRST = Date.UTC(2026, 0, 1);

/** The chunks of one series at every resolution. */
interface Resolved {
  readonly labels: Labels;
  readonly raw: readonly TimedChunk[];
  readonly fiveMinutes: readonly TimedChunk[];
  readonly hours: readonly TimedChunk[];
}

/** From which time on each resolution is there, until which the coarse ones are. */
interface Retention {
  readonly raw: number;
  readonly fiveMinutes: number;
  readonly hours: number;
}

const everything: Retention = { raw: FIRST, fiveMinutes: FIRST, hours: FIRST };
const gone = FIRST + 1000 * DAY;

function resolved(name: string, days: number, value: (i: number) => number): Resolved {
  const samples = new SampleBuffer();
  for (let i = 0; i < (days * DAY) / 30_000; i++) {
    samples.pushFloat(FIRST + 7_000 + i * 30_000, value(i));
  }
  const raw = encodeSamples(samples);
  const fiveMinutes = new Downsampler(Raw, FiveMinutes).series(raw);
  const hours = new Downsampler(FiveMinutes, OneHour).series(fiveMinutes);
  return { labels: Labels.fromObject({ __name__: name }), raw, fiveMinutes, hours };
}

/** A counter that grows by 3 a scrape and begins anew every 1,000 scrapes. */
const counter = resolved('requests_total', 14, (i) => (i % 1000) * 3);
const gauge = resolved('temperature', 14, (i) => 20 + Math.sin(i / 300) * 5 + (i % 7));

/** As a store gateway with Thanos's choice: the coarsest that is allowed, and finer or coarser behind it. */
function storeOf({ labels, raw, fiveMinutes, hours }: Resolved, kept: Retention): Store {
  const levels = [
    { resolution: Raw, from: kept.raw, chunks: raw },
    { resolution: FiveMinutes, from: kept.fiveMinutes, chunks: fiveMinutes },
    { resolution: OneHour, from: kept.hours, chunks: hours },
  ];
  return {
    info: () => ({
      labelSets: [],
      mint: FIRST,
      maxt: FIRST + 100 * DAY,
      tsdbInfos: [],
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
    }),
    series: async function* (request: SeriesRequest) {
      const allowed = levels.filter(({ resolution }) => resolution <= request.maxResolutionMs);
      const coarser = levels.filter(({ resolution }) => resolution > request.maxResolutionMs);
      let until = request.maxt;
      const chunks: AggregateChunk[] = [];
      for (const { from, chunks: all } of [...allowed.toReversed(), ...coarser]) {
        const wanted = all.filter(
          (chunk) =>
            chunk.maxt >= Math.max(from, request.mint) && chunk.mint <= until && from <= until,
        );
        for (const chunk of wanted) chunks.push(asked(chunk, request));
        until = Math.min(until, from - 1);
      }
      chunks.sort((a, b) => a.mint - b.mint || a.maxt - b.maxt);
      yield await Promise.resolve({ series: [{ labels, chunks }], warnings: [] });
    },
    labelNames: () => Promise.resolve({ names: [], warnings: [] }),
    labelValues: () => Promise.resolve({ names: [], warnings: [] }),
  };
}

function asked({ encoding, data, mint, maxt }: TimedChunk, { aggregates }: SeriesRequest) {
  if (encoding !== 255) return { mint, maxt, raw: { encoding, data } };
  const lanes = readAggregateChunk(data);
  const wanted = Object.entries(lanes).filter(([lane]) => aggregates.some((one) => one === lane));
  return { mint, maxt, ...Object.fromEntries(wanted) };
}

interface Ask {
  readonly maxResolutionMs?: number;
  readonly stepMs?: number;
  readonly startMs?: number;
  readonly endMs?: number;
}

async function query(text: string, series: Resolved, kept: Retention, ask: Ask = {}) {
  return queryStore(text, storeOf(series, kept), ask);
}

async function queryStore(text: string, store: Store, ask: Ask) {
  const proxy = new ProxyStore({
    endpoints: () => [{ address: 'store', store }],
    selectorLabels: Labels.empty,
    responseTimeoutMs: 0,
    clock: systemClock,
    log: new MemoryLog(),
    metrics: new Metrics(),
  });
  const { maxResolutionMs = 0, stepMs = HOUR } = ask;
  const queryable = new Querier(proxy, 4).queryable({
    dedup: true,
    replicaLabels: ['replica'],
    algorithm: 'sticky',
    partialResponse: PartialResponse.Abort,
    maxResolutionMs,
    storeMatchers: [],
    tenant: 'default-tenant',
    completeness: new Completeness(),
  });
  const engine = new Engine({
    lookbackMs: 5 * MINUTE,
    maxSamples: 0,
    defaultStepMs: () => MINUTE,
    features: stableEngineFeatures,
  });
  const { value, infos } = await engine.range(
    {
      text,
      stepMs,
      // Windows end with the last millisecond of an hour, as downsampled ones do.
      startMs: (ask.startMs ?? FIRST + 12 * HOUR) - 1,
      endMs: (ask.endMs ?? FIRST + 13 * DAY) - 1,
      lookbackMs: lookbacks(5 * MINUTE, true)(maxResolutionMs),
    },
    queryable,
    { signal: new AbortController().signal, budget: unlimitedBudget() },
  );
  assert.equal(value.kind, 'matrix');
  return { series: value.series[0], infos };
}

function assertClose(
  got: MatrixSeries | undefined,
  want: MatrixSeries | undefined,
  relative: number,
) {
  assert.deepEqual(got?.times, want?.times);
  for (const [i, value] of want!.values.entries()) {
    const difference = Math.abs(got!.values[i]! - value);
    const text = `at ${new Date(want!.times[i]!).toISOString()}: ${got!.values[i]} for ${value}`;
    assert.ok(difference <= relative * Math.abs(value), text);
  }
}

for (const [resolution, kept] of [
  ['5m', { ...everything, raw: gone, hours: gone }],
  ['1h', { ...everything, raw: gone, fiveMinutes: gone }],
] as const) {
  for (const name of ['sum', 'count', 'min', 'max', 'avg']) {
    test(`${name}_over_time() of whole windows of ${resolution} is that of the samples`, async () => {
      const text = `${name}_over_time(temperature[2h])`;
      const { series: want } = await query(text, gauge, everything);
      const { series: got } = await query(text, gauge, kept);
      assertClose(got, want, 1e-12);
    });
  }

  for (const name of ['rate', 'increase']) {
    test(`${name}() over windows of ${resolution} is within 1 % of the samples'`, async () => {
      const text = `${name}(requests_total[12h])`;
      const { series: want } = await query(text, counter, everything);
      const { series: got } = await query(text, counter, kept);
      assertClose(got, want, 0.01);
    });
  }

  test(`ranges shorter than windows of ${resolution} see the windows spread out`, async () => {
    const minutes = { stepMs: MINUTE, endMs: FIRST + DAY };
    const rate = await query('rate(requests_total[2m])', counter, kept, minutes);
    assert.equal(rate.series?.times.length, 12 * 60 + 1);
    for (const value of rate.series.values) assert.ok(value > 0.02 && value < 0.2, `${value}`);
    const mean = rate.series.values.reduce((a, b) => a + b) / rate.series.values.length;
    assert.ok(Math.abs(mean - 0.1) < 0.001, `${mean}`);
    const sum = await query('sum_over_time(temperature[1m])', gauge, kept, minutes);
    assert.equal(sum.series?.times.length, 12 * 60 + 1);
    for (const value of sum.series.values) assert.ok(value > 30 && value < 62, `${value}`);
  });

  test(`an instant selector finds windows of ${resolution} at every step`, async () => {
    const { series } = await query('temperature', gauge, kept, { stepMs: 7 * MINUTE });
    assert.equal(series?.times.length, Math.floor((12.5 * DAY) / (7 * MINUTE)) + 1);
  });
}

test('what is downsampled is stated with its ranges, and nothing is said of raw data', async () => {
  const kept = { raw: FIRST + 10 * DAY, fiveMinutes: FIRST + 5 * DAY, hours: FIRST };
  const { infos } = await query('temperature', gauge, kept);
  assert.equal(infos.length, 1);
  assert.match(
    infos[0]!,
    /^\{__name__="temperature"\} has downsampled data: windows of 5m from 2026-01-0[56]T.* to 2026-01-11T.*, windows of 1h from 2026-01-01T.* to 2026-01-0[6-9]T.*$/,
  );
  assert.deepEqual((await query('temperature', gauge, everything)).infos, []);
});

test('windows made of all replicas meet the samples of one without a loss', async () => {
  const times = (from: number, to: number) => (chunk: TimedChunk) =>
    chunk.maxt >= FIRST + from * HOUR && chunk.mint < FIRST + to * HOUR;
  const external = (labels: Record<string, string>) =>
    Labels.fromObject({ __name__: 'temperature', ...labels });
  const store: Store = {
    ...storeOf(gauge, everything),
    series: async function* (request: SeriesRequest) {
      // The compactor has merged the replicas, and their Prometheuses still have the last hours.
      const windows = gauge.fiveMinutes.filter(times(0, 36)).map((chunk) => asked(chunk, request));
      const samples = gauge.raw.filter(times(24, 72)).map((chunk) => asked(chunk, request));
      const series = [
        { labels: external({}), chunks: windows },
        { labels: external({ replica: 'a' }), chunks: samples },
      ];
      yield await Promise.resolve({ series, warnings: [] });
    },
  };
  const ask = { maxResolutionMs: FiveMinutes, endMs: FIRST + 3 * DAY - HOUR };
  const { series: want } = await query('count_over_time(temperature[2h])', gauge, everything, {
    endMs: ask.endMs,
  });
  const { series: got } = await queryStore('count_over_time(temperature[2h])', store, ask);
  assertClose(got, want, 0);
});

test('where resolutions meet nothing is missing, doubled or a reset', async () => {
  const boundary = fc.integer({ min: 0, max: 13 * 24 }).map((hours) => FIRST + hours * HOUR);
  await fc.assert(
    fc.asyncProperty(
      boundary,
      boundary,
      fc.constantFrom(Raw, FiveMinutes, OneHour),
      async (raw, fiveMinutes, maxResolutionMs) => {
        const kept = { raw, fiveMinutes: Math.min(raw, fiveMinutes), hours: FIRST };
        const ask = { maxResolutionMs };
        const increase = await query('increase(requests_total[12h])', counter, kept, ask);
        const samples = await query('increase(requests_total[12h])', counter, everything);
        assertClose(increase.series, samples.series, 0.03);
        const count = await query('count_over_time(temperature[6h])', gauge, kept, ask);
        assertClose(
          count.series,
          (await query('count_over_time(temperature[6h])', gauge, everything)).series,
          0.02,
        );
        const all = await query('temperature', gauge, kept, ask);
        assert.equal(all.series?.times.length, 12.5 * 24 + 1);
      },
    ),
    { numRuns: 30 },
  );
});
