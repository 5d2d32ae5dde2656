import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DedupAlgorithms } from '#/dedup/dedup.ts';
import type { DedupAlgorithm } from '#/dedup/dedup.ts';
import { systemClock } from '#/lib/clock.ts';
import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { CounterReset } from '#/model/histogram.ts';
import type { FloatHistogram } from '#/model/histogram.ts';
import { Labels } from '#/model/labels.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import type { Store, StoreSeries } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { encodeSamples } from '#/tsdb/chunk-encoder.ts';
import { Completeness } from './partial-response.ts';
import { Querier } from './querier.ts';

const INTERVAL = 15_000;
/** Replica b scrapes the same target so much later. */
const STAGGER = 7000;
const SCRAPES = 120;
/** Replica a misses the scrapes `[GAP_FROM, GAP_TO)`; b goes on. */
const GAP_FROM = 40;
const GAP_TO = 60;

/** What the target has observed `seconds` after it last started, as one kind of histogram. */
type Kind = (seconds: number) => FloatHistogram;

const none = new Float64Array(0);
const base = {
  counterReset: CounterReset.Unknown,
  zeroThreshold: 0.001,
  zeroCount: 0,
  negativeSpans: [],
  negativeBuckets: none,
};

const exponential: Kind = (seconds) => ({
  ...base,
  schema: 1,
  count: 10 * seconds,
  sum: 25 * seconds,
  zeroCount: seconds,
  positiveSpans: [{ offset: 0, length: 3 }],
  positiveBuckets: Float64Array.of(2 * seconds, 3 * seconds, 4 * seconds),
  customValues: none,
});
const customBuckets: Kind = (seconds) => ({
  ...base,
  schema: -53,
  zeroThreshold: 0,
  count: 9 * seconds,
  sum: 20 * seconds,
  positiveSpans: [{ offset: 0, length: 3 }],
  positiveBuckets: Float64Array.of(2 * seconds, 3 * seconds, 4 * seconds),
  customValues: Float64Array.of(1, 5, 10),
});
const kinds: readonly (readonly [string, Kind, floats: boolean])[] = [
  ['exponential, integer', exponential, false],
  ['exponential, float', exponential, true],
  ['custom buckets, integer', customBuckets, false],
  ['custom buckets, float', customBuckets, true],
];

/** The target started 1000 s before the first scrape, and again at each of `restarts`, in ms. */
function secondsUp(time: number, restarts: readonly number[]): number {
  const started = restarts.findLast((restart) => restart <= time);
  return started === undefined ? 1000 + time / 1000 : (time - started) / 1000;
}

interface Target {
  readonly kind: Kind;
  readonly floats: boolean;
  readonly restarts: readonly number[];
}

/** The chunks of a replica that scrapes at `offset` and misses what `misses` says. */
function replica(
  name: string,
  { kind, floats, restarts }: Target,
  offset: number,
  misses: (scrape: number) => boolean,
): StoreSeries {
  const samples = new SampleBuffer();
  for (let scrape = 0; scrape < SCRAPES; scrape++) {
    if (misses(scrape)) continue;
    const time = scrape * INTERVAL + offset;
    samples.pushHistogram(time, kind(secondsUp(time, restarts)));
  }
  const labels = Labels.fromObject({ __name__: 'h', replica: name });
  const chunks = encodeSamples(samples, { floatHistograms: floats, samplesPerChunk: 25 });
  return { labels, chunks: chunks.map((one) => ({ mint: one.mint, maxt: one.maxt, raw: one })) };
}

function pair(target: Target): { readonly a: StoreSeries; readonly b: StoreSeries } {
  const inGap = (scrape: number) => scrape >= GAP_FROM && scrape < GAP_TO;
  return { a: replica('a', target, 0, inGap), b: replica('b', target, STAGGER, () => false) };
}

/** The values of a range query over the replicas, by time. */
async function ask(
  series: readonly StoreSeries[],
  algorithm: DedupAlgorithm,
  text: string,
): Promise<ReadonlyMap<number, number>> {
  const { only } = await evaluate(series, algorithm, text);
  return new Map(Array.from(only?.times ?? [], (time, i) => [time, only!.values[i]!]));
}

/** The one series of a range query over the replicas, and what PromQL says about it. */
async function evaluate(series: readonly StoreSeries[], algorithm: DedupAlgorithm, text: string) {
  const proxy = new ProxyStore({
    endpoints: () => [{ address: 'store', store: storeOf(series) }],
    selectorLabels: Labels.empty,
    responseTimeoutMs: 0,
    clock: systemClock,
    log: new MemoryLog(),
    metrics: new Metrics(),
  });
  const queryable = new Querier(proxy, 4).queryable({
    dedup: true,
    replicaLabels: ['replica'],
    algorithm,
    partialResponse: PartialResponse.Abort,
    maxResolutionMs: 0,
    storeMatchers: [],
    tenant: 'default-tenant',
    completeness: new Completeness(),
  });
  const engine = new Engine({
    lookbackMs: 300_000,
    maxSamples: 0,
    defaultStepMs: () => 60_000,
    features: stableEngineFeatures,
  });
  const range = { startMs: 300_000, endMs: (SCRAPES - 1) * INTERVAL, stepMs: INTERVAL };
  const context = { signal: new AbortController().signal, budget: unlimitedBudget() };
  const { value, promqlWarnings } = await engine.range({ text, ...range }, queryable, context);
  assert.equal(value.kind, 'matrix');
  assert.ok(value.series.length <= 1, 'the replicas are one series');
  return { only: value.series[0], promqlWarnings };
}

function storeOf(series: readonly StoreSeries[]): Store {
  return {
    info: () => ({
      labelSets: [],
      mint: 0,
      maxt: SCRAPES * INTERVAL,
      tsdbInfos: [],
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
    }),
    async *series({ withoutReplicaLabels }) {
      const dropped = new Set(withoutReplicaLabels);
      yield {
        series: series.map(({ labels, chunks }) => ({ labels: labels.without(dropped), chunks })),
        warnings: [],
      };
    },
    labelNames: () => Promise.resolve({ names: [], warnings: [] }),
    labelValues: () => Promise.resolve({ names: [], warnings: [] }),
  };
}

const functions = [
  'histogram_count(rate(h[2m]))',
  'histogram_sum(increase(h[2m]))',
  'histogram_quantile(0.9, rate(h[2m]))',
  'histogram_count(irate(h[2m]))',
];

const lastBeforeGap = (GAP_FROM - 1) * INTERVAL;
const between = (GAP_FROM + GAP_TO) / 2;

for (const [name, kind, floats] of kinds) {
  describe(`native histograms of two replicas: ${name}`, () => {
    for (const algorithm of ['sticky'] as const) {
      test(`${algorithm}: rates are those of one replica as long as that one is followed`, async () => {
        const { a, b } = pair({ kind, floats, restarts: [] });
        for (const text of functions) {
          const [merged, alone] = await Promise.all([
            ask([a, b], algorithm, text),
            ask([a], algorithm, text),
          ]);
          let compared = 0;
          for (const [time, value] of alone) {
            if (time > lastBeforeGap) continue;
            assert.equal(merged.get(time), value, `${text} at ${time}`);
            compared++;
          }
          assert.ok(compared > 15, 'there is something to compare');
        }
      });
    }

    // Penalty is Thanos's, sample for sample, and does not promise this (see src/dedup/thanos.test.ts).
    for (const algorithm of ['sticky', 'chain'] as const) {
      test(`${algorithm}: a switch is no reset, and leaves every rate what it was`, async () => {
        const { a, b } = pair({ kind, floats, restarts: [] });
        const resets = await ask([a, b], algorithm, 'resets(h[5m])');
        assert.deepEqual(new Set(resets.values()), new Set([0]));
        const rates = await ask([a, b], algorithm, 'histogram_count(rate(h[2m]))');
        const perSecond = kind(1).count;
        assert.ok(rates.size > 90, 'the gap is filled');
        for (const [time, rate] of rates) {
          assert.ok(Math.abs(rate / perSecond - 1) < 0.02, `${rate} at ${time}, not ${perSecond}`);
        }
      });

      test(`${algorithm}: a restart while replicas change is a reset, and only one`, async () => {
        for (const scrape of [
          GAP_FROM - 0.7,
          GAP_FROM + 0.2,
          between,
          GAP_TO - 0.2,
          GAP_TO + 0.2,
        ]) {
          const restart = scrape * INTERVAL;
          const { a, b } = pair({ kind, floats, restarts: [restart] });
          const resets = await ask([a, b], algorithm, 'resets(h[10m])');
          const after = [...resets].filter(([time]) => {
            return time > restart + 2 * INTERVAL && time < restart + 500_000;
          });
          assert.deepEqual(
            new Set(after.map(([, count]) => count)),
            new Set([1]),
            `restart at ${restart}`,
          );
          const rates = await ask([a, b], algorithm, 'histogram_count(rate(h[2m]))');
          const most = kind(1).count * 1.1;
          for (const [time, rate] of rates) {
            assert.ok(rate >= 0 && rate < most, `restart at ${restart}: ${rate} at ${time}`);
          }
        }
      });
    }
  });
}

describe('a series that is of floats, then of histograms, then of floats again', () => {
  const TURNS = [40 * INTERVAL, 80 * INTERVAL] as const;
  const WINDOW = 120_000;

  /** `late`: how long this replica goes on with the old kind at each turn. */
  function mixedReplica(name: string, offset: number, late: number): StoreSeries {
    const samples = new SampleBuffer();
    for (let scrape = 0; scrape < SCRAPES; scrape++) {
      const time = scrape * INTERVAL + offset;
      const seconds = 1000 + time / 1000;
      const isHistogram = time >= TURNS[0] + late && time < TURNS[1] + late;
      if (isHistogram) samples.pushHistogram(time, exponential(seconds));
      else samples.pushFloat(time, 10 * seconds);
    }
    const labels = Labels.fromObject({ __name__: 'h', replica: name });
    const chunks = encodeSamples(samples, { floatHistograms: false, samplesPerChunk: 25 });
    return { labels, chunks: chunks.map((one) => ({ mint: one.mint, maxt: one.maxt, raw: one })) };
  }

  for (const algorithm of DedupAlgorithms) {
    for (const late of [0, 60_000]) {
      const replicas = [mixedReplica('a', 0, 0), mixedReplica('b', STAGGER, late)];
      const when = late === 0 ? 'in both replicas at once' : 'in one replica a minute later';

      test(`${algorithm}, ${when}: rates stop and warn around the turns only`, async () => {
        const { only, promqlWarnings } = await evaluate(replicas, algorithm, 'rate(h[2m])');
        assert.deepEqual(promqlWarnings, [
          'PromQL warning: encountered a mix of histograms and floats for metric name "h" (1:6)',
        ]);
        const floats = new Set(only?.times);
        const histograms = new Set(only?.histogramTimes);
        for (let time = 300_000; time <= (SCRAPES - 1) * INTERVAL; time += INTERVAL) {
          const turned = TURNS.filter((turn) => turn <= time);
          // A merge may be late by two scrapes, and by what a replica is.
          const settled = (turned.at(-1) ?? 0) + late + WINDOW + 2 * INTERVAL;
          if (turned.length > 0 && time < settled) continue;
          const isHistogram = turned.length === 1;
          assert.equal(floats.has(time), !isHistogram, `floats at ${time}`);
          assert.equal(histograms.has(time), isHistogram, `histograms at ${time}`);
        }
        assert.ok(only!.values.every((rate) => rate >= 0 && rate < 12));
        assert.ok(only!.histograms.every(({ count }) => count >= 0 && count < 12));
      });
    }
  }
});
