import { unlimitedBudget } from '#/lib/memory-budget.ts';
import { messageOf, UnavailableError } from '#/lib/errors.ts';
import type { ManualClock } from '#/lib/manual-clock.ts';
import { randomInteger, randomItem } from '#/lib/random.ts';
import type { Random } from '#/lib/random.ts';
import { Labels } from '#/model/labels.ts';
import { newMatcher } from '#/model/matcher.ts';
import { Engine, stableEngineFeatures } from '#/promql/engine.ts';
import { Completeness } from '#/query/partial-response.ts';
import { Querier } from '#/query/querier.ts';
import type { Queryable, QueryContext } from '#/storage/queryable.ts';
import { SampleBuffer } from '#/storage/sample-buffer.ts';
import { ProxyStore } from '#/storeapi/proxy-store.ts';
import type { ProxyEndpoint } from '#/storeapi/proxy-store.ts';
import { PartialResponse } from '#/storeapi/store.ts';
import type { SeriesRequest, Store } from '#/storeapi/store.ts';
import { MemoryLog } from '#/telemetry/logger.ts';
import { Metrics } from '#/telemetry/metrics.ts';
import { decodeChunk } from '#/tsdb/chunk.ts';
import { differenceOf } from './answers.ts';
import type { Doom } from './doom.ts';
import type { EventLog } from './event-log.ts';
import { isExcused } from './excuses.ts';
import type { Excuse } from './excuses.ts';
import { Oracle } from './oracle.ts';
import { drawRate, drawRaw, drawWhole, RESOLUTIONS } from './panel.ts';
import type { Question } from './panel.ts';
import { DELETIONS_MAX_AGE_MS } from './gateway.ts';
import { DOOMED, HOUR_MS, MINUTE_MS } from './truth.ts';
import type { Replica, Truth } from './truth.ts';

const LONGEST_QUERY_MS = 20 * HOUR_MS;
/** A listing that lags behind may hide a deletion, too. */
const HONOURED_MS = DELETIONS_MAX_AGE_MS + HOUR_MS / 2;

interface QuestionerOptions {
  readonly clock: ManualClock;
  readonly random: Random;
  readonly events: EventLog;
  readonly truth: Truth;
  readonly startMs: number;
  readonly endpoints: () => readonly ProxyEndpoint[];
  /** Where raw data may be missing, and where everything may. */
  readonly excuses: () => { readonly raw: readonly Excuse[]; readonly all: readonly Excuse[] };
  /** The time from which on all raw data must be there, retention being what it is. */
  readonly keptFromMs: () => number;
  /** Whether every sample of both replicas must be in an answer, or only one of two now and then. */
  readonly keepsAllSamples: boolean;
  readonly doom: Doom;
  /** The store gateway, if there is one now. */
  readonly gateway: () => Store | undefined;
  readonly violated: (invariant: string, detail: string) => void;
}

/** Asks a querier over all stores, and compares the answers with the truth. */
export class Questioner {
  readonly #options: QuestionerOptions;
  readonly #querier: Querier;
  readonly #oracle: Oracle;
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
    this.#oracle = new Oracle(options.truth);
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

  /** For everything, and some questions of the panel; whether all answers were complete. */
  async ask(resolutions?: readonly number[]): Promise<boolean> {
    const { clock, random, keepsAllSamples, violated } = this.#options;
    const nowMs = clock.now();
    try {
      let isComplete = await this.#askEverything(nowMs);
      const questions = [drawRaw(random, keepsAllSamples)];
      for (const maxResolutionMs of resolutions ?? [randomItem(random, RESOLUTIONS)]) {
        questions.push(drawWhole(random, maxResolutionMs), drawRate(random, maxResolutionMs));
      }
      for (const question of questions) {
        if (!(await this.#askPanel(question, nowMs))) isComplete = false;
      }
      await this.#askDeleted(nowMs);
      return isComplete;
    } catch (thrown) {
      violated('what is lost makes an answer incomplete, not an error', messageOf(thrown));
      return false;
    }
  }

  /** At every resolution. */
  askAll(): Promise<boolean> {
    return this.ask(RESOLUTIONS);
  }

  async #askEverything(nowMs: number): Promise<boolean> {
    const { events, violated, keptFromMs, excuses } = this.#options;
    const mint = keptFromMs();
    const { queryable, completeness } = this.#queryable({
      algorithm: 'chain',
      maxResolutionMs: 0,
    });
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
    const problem = this.#compare(got, {
      mint,
      maxt: nowMs,
      isComplete,
      // Where raw blocks are lost, a coarser resolution may stand in, and says so.
      isCoarse: (set.infos ?? []).length > 0,
      excuses: excuses().raw,
    });
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
    answer: {
      readonly mint: number;
      readonly maxt: number;
      readonly isComplete: boolean;
      readonly isCoarse: boolean;
      readonly excuses: readonly Excuse[];
    },
  ): string | undefined {
    const { mint, maxt, isComplete, isCoarse, excuses } = answer;
    // What stands for an hour may stand at its end.
    const mayBeCoarse = (time: number) =>
      isCoarse &&
      (!isComplete || isExcused(excuses, { mint: time - HOUR_MS, maxt: time + HOUR_MS }));
    for (const [key, known] of this.#oracle.series) {
      const found = got.get(key) ?? new Map<number, number>();
      for (const [time, value] of found) {
        const i = known.indexes.get(time);
        const isRight = i !== undefined && time <= maxt && known.values[i] === value;
        if (!isRight && !mayBeCoarse(time)) return `${key} has ${value} at ${time}`;
      }
      if (!isComplete || !(known.isOwn || this.#options.keepsAllSamples)) continue;
      const keptFromMs = this.#options.doom.keptFromMs(known.labels.get('__name__'));
      for (const [i, time] of known.times.entries()) {
        if (time < keptFromMs || time < mint || time > maxt || found.has(time)) continue;
        if (isExcused(excuses, { mint: time, maxt: time }, known.replicas[i])) continue;
        return `${key} has no sample at ${time}`;
      }
    }
    return undefined;
  }

  /** Whether the answer was complete; only those are compared. */
  async #askPanel(question: Question, nowMs: number): Promise<boolean> {
    const { events, violated } = this.#options;
    const query = this.#timed(question, nowMs);
    if (query === undefined) return true;
    const before = this.#excusesOf(question);
    const { queryable, completeness } = this.#queryable(question);
    const got = await this.#engine.range(query, queryable, context());
    if (got.warnings.length > 0 || !completeness.isComplete) return false;
    this.counts.panel++;
    const want = await this.#engine.range(query, this.#oracle.queryable(nowMs), context());
    const { tolerance, rangeMs, text, metric, algorithm, maxResolutionMs } = question;
    const excuses = [...before, ...this.#excusesOf(question)];
    const problem = differenceOf(got.value, want.value, {
      isExcused: (labels, maxt) => {
        const window = { mint: maxt - rangeMs, maxt };
        const replica = question.isOwn ? (labels.get('instance') as Replica) : undefined;
        if (isExcused(excuses, window, replica)) return true;
        return tolerance !== undefined && this.#oracle.hasGap(metric, window, replica);
      },
      isClose: (value, wanted) => isClose(value, wanted, tolerance),
    });
    if (problem !== undefined) {
      const how = `${algorithm}, resolution ${maxResolutionMs}, [${query.startMs}, ${query.endMs}]`;
      violated('a complete answer equals the oracle', `${text}, ${how}: ${problem}`);
    }
    events.add('questioner', `answer to ${text} at ${maxResolutionMs}`);
    return true;
  }

  /** Over a time of which everything is to be known; `undefined` if there is none. */
  #timed({ text, stepMs, rangeMs, isRaw, tolerance }: Question, nowMs: number) {
    const { random, keptFromMs, startMs: firstMs } = this.#options;
    const endMs = nowMs - randomInteger(random, 0, 120) * MINUTE_MS;
    const earliestMs = isRaw ? Math.max(keptFromMs(), endMs - LONGEST_QUERY_MS) : firstMs;
    const startMs = earliestMs + rangeMs;
    const query = { text, stepMs, startMs, endMs };
    // Windows end with the last millisecond of an hour, as downsampled ones do.
    if (!isRaw || tolerance !== undefined)
      query.startMs = Math.ceil(startMs / HOUR_MS) * HOUR_MS - 1;
    return endMs < query.startMs ? undefined : query;
  }

  #excusesOf({ isRaw }: Question): readonly Excuse[] {
    const { raw, all } = this.#options.excuses();
    return isRaw ? raw : all;
  }

  /** What was deleted is not in an answer of a store that has had the time to look for deletions. */
  async #askDeleted(nowMs: number): Promise<void> {
    const { doom, gateway, violated, events } = this.#options;
    const untilMs = doom.deletedUntilMs(nowMs - HONOURED_MS);
    const store = gateway();
    if (untilMs === Number.NEGATIVE_INFINITY || store === undefined) return;
    const request: SeriesRequest = {
      mint: this.#options.startMs,
      maxt: untilMs,
      matchers: [newMatcher('=', '__name__', DOOMED)],
      maxResolutionMs: randomItem(this.#options.random, RESOLUTIONS),
      aggregates: ['count'],
      skipChunks: false,
      partialResponse: PartialResponse.Warn,
      withoutReplicaLabels: [],
      limit: 0,
      wantsStats: false,
      batchSize: 64,
    };
    const warnings: string[] = [];
    const times: number[] = [];
    try {
      for await (const batch of store.series(request, { ...context(), tenant: '' })) {
        warnings.push(...batch.warnings);
        for (const { chunks } of batch.series) {
          const samples = new SampleBuffer();
          for (const { raw, count } of chunks) decodeChunk(raw ?? count!, 0, untilMs, samples);
          times.push(...samples.times.subarray(0, samples.length));
        }
      }
    } catch (thrown) {
      if (thrown instanceof UnavailableError) return;
      throw thrown;
    }
    events.add('questioner', `asked for what is deleted: ${times.length} samples`);
    if (times.length === 0 || warnings.length > 0) return;
    violated(
      'what is deleted is never answered',
      `${DOOMED} has ${times.length} samples from before ${untilMs}, the first at ${times[0]}`,
    );
  }

  #queryable({ algorithm, maxResolutionMs }: Pick<Question, 'algorithm' | 'maxResolutionMs'>): {
    queryable: Queryable;
    completeness: Completeness;
  } {
    const completeness = new Completeness();
    const queryable = this.#querier.queryable({
      dedup: true,
      replicaLabels: ['replica'],
      algorithm,
      partialResponse: PartialResponse.Warn,
      maxResolutionMs,
      storeMatchers: [],
      tenant: '',
      completeness,
    });
    return { queryable, completeness };
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

/** The last bits of a sum depend on the order of its terms. */
function isClose(got: number, want: number, tolerance: Question['tolerance']): boolean {
  const { relative, absolute } = tolerance ?? { relative: 1e-12, absolute: 0 };
  return Math.abs(got - want) <= relative * Math.abs(want) + absolute;
}
