import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { messageOf } from '#/lib/errors.ts';
import type { ManualClock } from '#/lib/manual-clock.ts';
import { randomInteger, randomItem } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { matchesAll, newMatcher } from '#/model/matcher.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import type { QueryValue } from '#/promql/value.ts';
import { Completeness } from '#/query/partial-response.ts';
import { Querier } from '#/query/querier.ts';
import type { Queryable, QueryContext } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import type { ProxyEndpoint } from '#/storeapi/proxy-store.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import type { EventLog } from './event-log.ts';
import type { Source } from './ledger.ts';
import { BLOCK_MS, HOUR_MS, MINUTE_MS } from './truth.ts';
import type { Truth } from './truth.ts';

const LONGEST_WINDOW_MS = 3 * HOUR_MS;
const PANEL = [
  'count_over_time(up[2h])',
  'sum_over_time(temperature[90m])',
  'changes(temperature[1h])',
  'sum(max_over_time(temperature[1h]))',
  'quantile_over_time(0.5, temperature[3h])',
  'sum(last_over_time(up[30m])) by (job)',
];

interface QuestionerOptions {
  readonly clock: ManualClock;
  readonly random: Random;
  readonly events: EventLog;
  readonly truth: Truth;
  readonly startMs: number;
  readonly endpoints: () => readonly ProxyEndpoint[];
  readonly sources: () => Iterable<Source>;
  /** The time from which on everything must be there, retention being what it is. */
  readonly keptFromMs: () => number;
  /** Whether every sample of both replicas must be in an answer, or only one of two now and then. */
  readonly keepsAllSamples: boolean;
  readonly violated: (invariant: string, detail: string) => void;
}

/** Asks a querier over all stores, and compares the answers with the truth. */
export class Questioner {
  readonly #options: QuestionerOptions;
  readonly #querier: Querier;
  readonly #engine = new Engine({
    lookbackMs: 5 * MINUTE_MS,
    maxSamples: 0,
    defaultStepMs: () => MINUTE_MS,
    features: stableEngineFeatures,
  });
  /** Answers that were compared, and those of them that said that they were incomplete. */
  readonly counts = { asked: 0, incomplete: 0, panel: 0 };

  constructor(options: QuestionerOptions) {
    this.#options = options;
    const { clock, endpoints } = options;
    const proxy = new ProxyStore({
      endpoints,
      selectorLabels: Labels.empty,
      responseTimeoutMs: 0,
      clock,
      log: new MemoryLog(),
      metrics: new Metrics(),
    });
    this.#querier = new Querier(proxy, 4);
  }

  /** One question for everything and one of the panel; whether both answers were complete. */
  async ask(): Promise<boolean> {
    const { clock, violated } = this.#options;
    const nowMs = clock.now();
    try {
      const everything = await this.#askEverything(nowMs);
      const panel = await this.#askPanel(nowMs);
      return everything && panel;
    } catch (thrown) {
      violated('what is lost makes an answer incomplete, not an error', messageOf(thrown));
      return false;
    }
  }

  async #askEverything(nowMs: number): Promise<boolean> {
    const { events, violated, keptFromMs } = this.#options;
    const mint = keptFromMs();
    const { queryable, completeness } = this.#queryable();
    this.counts.asked++;
    const set = await queryable.select(
      {
        matchers: [newMatcher('=', 'job', 'web')],
        mint,
        maxt: nowMs,
        hints: { stepMs: 0, rangeMs: 0, func: '', limit: 0 },
      },
      context(),
    );
    const got = new Map<string, Map<number, number>>();
    for (const series of set.series) {
      const buffer = new SampleBuffer();
      series.read(mint, nowMs, buffer);
      got.set(series.labels.without(new Set(['cluster'])).key, columns(buffer));
    }
    const isComplete = set.warnings.length === 0 && completeness.isComplete;
    // Where raw blocks are lost, a coarser resolution may stand in, and says so.
    const isCoarse = (set.infos ?? []).length > 0 && (!isComplete || this.#isAnyForgiven());
    const problem = isCoarse ? undefined : this.#compare(got, { mint, maxt: nowMs }, isComplete);
    events.add('questioner', `answer ${isComplete ? 'complete' : `without ${set.warnings[0]}`}`);
    if (!isComplete) this.counts.incomplete++;
    if (problem !== undefined) {
      violated(
        isComplete
          ? 'a complete answer has every sample once'
          : 'an incomplete answer has nothing wrong',
        problem,
      );
    }
    return isComplete;
  }

  #compare(
    got: ReadonlyMap<string, ReadonlyMap<number, number>>,
    { mint, maxt }: { readonly mint: number; readonly maxt: number },
    isComplete: boolean,
  ): string | undefined {
    for (const [key, wanted] of this.#truthUntil(maxt)) {
      const found = got.get(key) ?? new Map<number, number>();
      for (const [time, value] of found) {
        if (wanted.get(time)?.value !== value) return `${key} has ${value} at ${time}`;
      }
      if (!isComplete || !this.#options.keepsAllSamples) continue;
      for (const [time, { isForgiven }] of wanted) {
        if (time >= mint && !found.has(time) && !isForgiven)
          return `${key} has no sample at ${time}`;
      }
    }
    return undefined;
  }

  async #askPanel(nowMs: number): Promise<boolean> {
    const { random, violated, events, keepsAllSamples, keptFromMs } = this.#options;
    const startMs = keptFromMs() + LONGEST_WINDOW_MS;
    const text = randomItem(random, PANEL);
    const stepMs = randomItem(random, [10, 30, 60]) * MINUTE_MS;
    const endMs = nowMs - randomInteger(random, 0, 120) * MINUTE_MS;
    const query = { text, startMs: Math.max(startMs, endMs - 20 * HOUR_MS), endMs, stepMs };
    if (endMs < startMs || this.#isAnyForgiven() || !keepsAllSamples) return true;
    const { queryable, completeness } = this.#queryable();
    const got = await this.#engine.range(query, queryable, context());
    if (got.warnings.length > 0 || !completeness.isComplete) return false;
    this.counts.panel++;
    const want = await this.#engine.range(query, this.#oracle(nowMs), context());
    const [left, right] = [printed(got.value), printed(want.value)];
    if (left !== right) {
      const where = `${text} over [${query.startMs}, ${endMs}] step ${stepMs}`;
      violated('a complete answer equals the oracle', `${where}: ${difference(left, right)}`);
    }
    events.add('questioner', `answer to ${text}`);
    return true;
  }

  #isAnyForgiven(): boolean {
    return [...this.#options.sources()].some(({ isForgiven }) => isForgiven);
  }

  #queryable(): { queryable: Queryable; completeness: Completeness } {
    const completeness = new Completeness();
    const queryable = this.#querier.queryable({
      dedup: true,
      replicaLabels: ['replica'],
      algorithm: 'chain',
      partialResponse: PartialResponse.Warn,
      maxResolutionMs: 0,
      storeMatchers: [],
      tenant: '',
      completeness,
    });
    return { queryable, completeness };
  }

  /** By the key of the labels without `cluster`: time to what both replicas have until then. */
  #truthUntil(nowMs: number): Map<string, Map<number, { value: number; isForgiven: boolean }>> {
    const { truth, startMs, sources } = this.#options;
    const forgiven = new Set<string>();
    for (const { replica, mint, isForgiven } of sources()) {
      if (isForgiven) forgiven.add(`${replica} ${mint}`);
    }
    const all = new Map<string, Map<number, { value: number; isForgiven: boolean }>>();
    for (const [replica, series] of truth) {
      for (const { labels, times, values } of series) {
        const into = all.getOrInsertComputed(labels.key, () => new Map());
        for (const [i, time] of times.entries()) {
          if (time > nowMs) break;
          const mint = startMs + Math.floor((time - startMs) / BLOCK_MS) * BLOCK_MS;
          into.set(time, { value: values[i]!, isForgiven: forgiven.has(`${replica} ${mint}`) });
        }
      }
    }
    return all;
  }

  /** What a single Prometheus with the samples of both replicas would have. */
  #oracle(nowMs: number): Queryable {
    const all = this.#truthUntil(nowMs);
    const labelsOf = new Map<string, Labels>();
    for (const series of this.#options.truth.values()) {
      for (const { labels } of series) labelsOf.set(labels.key, labels);
    }
    const none = () => Promise.resolve({ names: [], warnings: [] });
    return {
      select: ({ matchers }) => {
        const series = [...all].flatMap(([key, samples]) => {
          const labels = labelsOf.get(key)!.with('cluster', 'x');
          if (!matchesAll(matchers, labels)) return [];
          const sorted = [...samples].sort(([a], [b]) => a - b);
          const read = (mint: number, maxt: number, into: SampleBuffer) => {
            for (const [time, { value }] of sorted) {
              if (time >= mint && time <= maxt) into.pushFloat(time, value);
            }
          };
          return [{ labels, read }];
        });
        return Promise.resolve({ series, warnings: [] });
      },
      labelNames: none,
      labelValues: none,
    };
  }
}

function context(): QueryContext {
  return { signal: new AbortController().signal, budget: unlimitedBudget() };
}

/** Repeated times are told by a wrong value: nothing is twice in a map. */
function columns(buffer: SampleBuffer): Map<number, number> {
  const samples = new Map<number, number>();
  for (let i = 0; i < buffer.length; i++) {
    const time = buffer.times[i]!;
    samples.set(time, samples.has(time) ? Number.NaN : buffer.values[i]!);
  }
  return samples;
}

function printed(value: QueryValue): string {
  if (value.kind !== 'matrix') return messageOf(value.kind);
  return value.series
    .map(({ labels, times, values }) => {
      const points = Array.from(times, (time, i) => `${time}:${values[i]}`);
      return `${labels.toMetricString()} ${points.join(' ')}`;
    })
    .sort()
    .join('\n');
}

function difference(got: string, want: string): string {
  let at = 0;
  while (at < got.length && got[at] === want[at]) at++;
  const around = (text: string) => text.slice(Math.max(0, at - 40), at + 60);
  return `got "${around(got)}", want "${around(want)}"`;
}
